from __future__ import annotations

import random
import threading
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit import Context
from falconkit.errors import ConfigurationError
from falconkit.sd import (
    Balancer,
    Endpointer,
    Instance,
    LeastInFlight,
    PeakEwma,
    Random,
    RoundRobin,
    Static,
    Sticky,
    Weighted,
)
from falconkit.sd.load import ALIKE
from falconkit.sd.member import Member
from falconkit.testing import ManualClock
from tests.sd.doubles import Factory, Told, many, over

ctx = Context()


def members(*instances):
    return tuple(Member(each, lambda instance: None) for each in instances)


def weighing(*weights):
    return members(*(Instance(f"h{n}", 80, weight=w) for n, w in enumerate(weights)))


def shares(policy, chosen, count=20_000, seed=1):
    pick = policy.over(chosen, random.Random(seed))
    return Counter(pick(ctx, None, 0.0).address for _ in range(count))


def test_round_robin_is_exact():
    call = Balancer(over(*many(7)), RoundRobin())
    assert set(Counter(call(ctx, 1) for _ in range(7 * 100)).values()) == {100}


def test_32_threads_pick_evenly_of_1000():
    call = Balancer(over(*many(1000)), RoundRobin())
    counts, lock = Counter(), threading.Lock()

    def caller():
        mine = Counter(call(Context(), 1) for _ in range(1000))
        with lock:
            counts.update(mine)

    threads = [threading.Thread(target=caller) for _ in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(counts.values()) == {32}
    assert [each.in_flight for each in call._endpointer.roster().members] == [0] * 1000


@pytest.mark.parametrize("policy", [Random(), Weighted(), PeakEwma(), LeastInFlight()], ids=repr)
def test_equals_are_asked_equally(policy):
    found = shares(policy, weighing(1, 1, 1, 1, 1))
    assert all(abs(count - 4000) < 400 for count in found.values())


@pytest.mark.parametrize("policy", [Weighted(), PeakEwma(), LeastInFlight(choices=2)], ids=repr)
def test_weights_are_shares(policy):
    found = shares(policy, weighing(1, 2, 7))
    assert [round(found[f"h{n}:80"] / 2000) for n in range(3)] == [1, 2, 7]


def test_a_weight_of_zero_is_nearly_never_and_all_zeros_are_equals():
    assert 0 < shares(Weighted(), weighing(0, 1), 50_000)["h0:80"] < 1_000
    assert abs(shares(Weighted(), weighing(0, 0))["h0:80"] - 10_000) < 700


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=20), st.integers(0, 99))
def test_any_weights_can_be_drawn_from(weights, seed):
    for policy in (Weighted(), PeakEwma(), LeastInFlight(2), LeastInFlight(), Random()):
        assert sum(shares(policy, weighing(*weights), 20, seed).values()) == 20


def test_the_least_in_flight_is_taken():
    chosen = weighing(1, 1, 1)
    for busy, member in zip((3, 1, 2), chosen, strict=True):
        member.in_flight = busy
    assert set(shares(LeastInFlight(), chosen, 100)) == {"h1:80"}
    assert shares(LeastInFlight(2), chosen)["h1:80"] > 10_000


def test_p2c_leaves_a_slow_one_and_comes_back():
    clock = ManualClock()
    latency = {"a:1": 0.01, "b:1": 0.01, "c:1": 0.2}

    def answer(address, ctx, request):
        clock.advance(latency[address])
        return address

    call = Balancer(over("a:1", "b:1", "c:1", answer=answer), clock=clock, rng=random.Random(7))
    found = Counter(call(Context(), 1) for _ in range(200))
    assert found["c:1"] <= 2  # about two seconds of calls, one of them to find it out
    latency["c:1"] = 0.01
    found = Counter(call(Context(), 1) for _ in range(6000))
    assert found["c:1"] > 200


@pytest.mark.parametrize("mean", [1e-6, 0.001, 1.0])
def test_p2c_takes_equals_whose_answers_vary_for_equals(mean):
    clock, chance = ManualClock(), random.Random(3)

    def answer(address, ctx, request):
        clock.advance(mean * chance.uniform(0.7, 1.3))
        return address

    call = Balancer(over(*many(8), answer=answer), clock=clock, rng=random.Random(7))
    found = Counter(call(Context(), 1) for _ in range(16_000))
    assert all(abs(count - 2000) < 200 for count in found.values())


def test_p2c_leaves_one_that_turns_slow_after_one_answer():
    clock, chance, slow = ManualClock(), random.Random(3), set()

    def answer(address, ctx, request):
        clock.advance(0.001 * chance.uniform(0.7, 1.3) * (20 if address in slow else 1))
        return address

    addresses = many(8)
    call = Balancer(over(*addresses, answer=answer), clock=clock, rng=random.Random(7))
    for _ in range(1000):
        call(Context(), 1)
    slow.add(addresses[3])
    assert Counter(call(Context(), 1) for _ in range(1000))[addresses[3]] == 1


def test_p2c_failing_fast_does_not_look_like_being_fast():
    clock = ManualClock()

    def answer(address, ctx, request):
        clock.advance(0.0001 if address == "dead:1" else 0.02)
        if address == "dead:1":
            raise ConnectionRefusedError
        return address

    call = Balancer(
        over("a:1", "b:1", "dead:1", answer=answer),
        outliers=None,
        clock=clock,
        rng=random.Random(7),
    )
    failed = 0
    for _ in range(500):
        try:
            call(Context(), 1)
        except ConnectionRefusedError:
            failed += 1
    assert failed <= 10


def test_p2c_asks_a_new_one_at_once_but_by_one_call_at_a_time():
    policy = PeakEwma()
    old, new = weighing(1, 1)
    old.latency, old.seen_at = 0.01, 5.0
    assert policy.lesser(old, new) is policy.lesser(new, old) is new
    new.in_flight = 1
    assert policy.lesser(old, new) is policy.lesser(new, old) is old


def test_p2c_weighs_latency_running_calls_and_age():
    policy = PeakEwma(decay=10.0)

    def better(one, other):
        """Return which of two is taken: (latency, seen_at, in_flight) each."""
        a, b = weighing(1, 1)
        a.latency, a.seen_at, a.in_flight = one
        b.latency, b.seen_at, b.in_flight = other
        assert policy.lesser(a, b) is policy.lesser(b, a)
        return "one" if policy.lesser(a, b) is a else "other"

    assert better((0.01, 5.0, 0), (0.02, 5.0, 0)) == "one"
    assert better((0.01, 5.0, 2), (0.02, 5.0, 0)) == "other"
    assert better((0.01, 9.0, 0), (0.04, 5.0, 0)) == "one"  # it has decayed for 4 s more
    assert better((0.01, 20.0, 9), (0.04, 5.0, 8)) == "other"  # ... and so is alike
    assert better((0.01, 40.0, 0), (0.04, 5.0, 0)) == "other"
    # Where neither is twice the other, calls running are what counts.
    assert better((0.019, 5.0, 3), (0.01, 5.0, 4)) == "one"
    assert better((0.021, 5.0, 0), (0.01, 5.0, 0)) == "other"
    assert better((1e-9, 1e9, 0), (1e4, 0.0, 10**6)) == "other"  # nothing is too long ago


@given(st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e5), st.booleans()), max_size=50))
def test_the_peak_stays_between_nothing_and_the_worst(calls):
    policy, (member, other), now, worst = PeakEwma(), weighing(1, 1), 0.0, 0.1
    for elapsed, later, failed in calls:
        now += later
        worst = max(worst, elapsed, 2 * ALIKE * member.latency if failed else 0.0)
        policy.observe(member, elapsed, now, failed)
        assert 0.0 < member.latency <= worst
        assert policy.lesser(member, other) is other


def test_one_key_goes_to_one_member_from_everywhere():
    def pick(addresses):
        chosen = members(*(Instance.parse(each) for each in addresses))
        return Sticky(lambda ctx, request: request).over(chosen, random.Random())

    keys = [f"user{n}" for n in range(6000)]
    all_of_them = many(12)
    one, other = pick(all_of_them), pick(list(reversed(all_of_them)))
    where = {key: one(ctx, key, 0.0).address for key in keys}
    assert where == {key: other(ctx, key, 0.0).address for key in keys}
    counts = Counter(where.values())
    assert all(abs(count - 500) < 110 for count in counts.values())
    gone = all_of_them[5]
    left = pick([each for each in all_of_them if each != gone])
    moved = {key for key in keys if left(ctx, key, 0.0).address != where[key]}
    assert moved == {key for key in keys if where[key] == gone}
    # Where those keys went is spread, too.
    assert len({left(ctx, key, 0.0).address for key in moved}) == 11


def test_a_key_of_anything_is_bounded_and_found():
    call = Balancer(over(*many(5)), Sticky(lambda ctx, request: request))
    for key in ("", "\ud800", "x" * 100_000, *(f"k{n}" for n in range(5000))):
        assert call(Context(), key) == call(Context(), key)


def test_two_balancers_over_one_set_share_only_what_they_were_given():
    endpointer = Endpointer(Static("a:1", "b:1"), Factory())
    one, other = Balancer(endpointer, RoundRobin()), Balancer(endpointer, RoundRobin())
    assert Counter(one(ctx, 1) for _ in range(4)) == Counter(other(ctx, 1) for _ in range(4))


def test_the_turn_goes_on_over_a_change_of_the_set():
    told = Told("a:1", "b:1")
    call = Balancer(Endpointer(told, Factory()), RoundRobin())
    first = call(ctx, 1)
    told.tell("a:1", "b:1", "c:1")
    assert len({call(ctx, 1) for _ in range(3)}) == 3
    assert first in {"a:1", "b:1"}


@pytest.mark.parametrize("wrong", [lambda: LeastInFlight(1), lambda: PeakEwma(0)])
def test_what_cannot_work_is_said_at_once(wrong):
    with pytest.raises(ConfigurationError):
        wrong()
