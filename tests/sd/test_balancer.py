from __future__ import annotations

import contextlib
import random
from collections import Counter

import pytest

from falconkit import Context, name_of
from falconkit.context import ATTEMPT, INSTANCE, Asked
from falconkit.errors import (
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    DecodeError,
    NoInstance,
    OutcomeUnknown,
    Overloaded,
    RateLimited,
    UpstreamFailed,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from falconkit.events import Events, InstanceEjected, InstanceReturned, TooFewHealthy
from falconkit.sd import Balancer, Endpointer, Instance, Outliers, RoundRobin, at_fault
from falconkit.testing import ManualClock, Script
from tests.sd.doubles import Factory, Told, many, over


class Ward:
    """Ten instances of which some fail, and a balancer over them by turns."""

    def __init__(self, count=10, error=None, **options):
        self.clock, self.heard, self.ill = ManualClock(), [], set()
        self.error = error or UpstreamFailed("lost", upstream="counter")

        def answer(address, ctx, request):
            if address in self.ill:
                raise self.error
            return address

        self.told = Told(*many(count))
        self.call = Balancer(
            Endpointer(self.told, Factory(answer), service="counter", clock=self.clock),
            RoundRobin(),
            clock=self.clock,
            events=Events(self.heard.append),
            rng=random.Random(3),
            **options,
        )
        self.all = many(count)

    def run(self, calls):
        seen = Counter()
        for _ in range(calls):
            ctx = Context()
            with contextlib.suppress(type(self.error)):
                self.call(ctx, 1)
            seen[ctx.notes.of(Asked)[-1].instance] += 1
        return seen


def test_results_and_errors_pass_by_identity_and_who_was_asked_is_known():
    result, error, inside = object(), KeyError("boom"), []

    def look(ctx, request):
        inside.append(ctx.get(INSTANCE))
        return result

    script = Script(look, error, SystemExit)
    call = Balancer(Endpointer(Told("a:1"), lambda instance: script, service="counter"))
    ctx = Context(request_id="r-1")
    assert call(ctx, 1) is result
    assert inside == ["a:1"]
    assert script.contexts[0].request_id == "r-1"
    with pytest.raises(KeyError) as raised:
        call(ctx, 1)
    assert raised.value is error
    with pytest.raises(SystemExit):
        call(ctx, 1)
    assert [each.instance for each in ctx.notes.of(Asked)] == ["a:1"] * 3
    assert ctx.get(INSTANCE) is None
    assert call.status()[0]["in_flight"] == 0
    assert name_of(call) == "counter"


def test_an_instance_that_fails_five_times_in_a_row_is_ejected_for_30_s_times():
    ward = Ward()
    bad = ward.all[4]
    ward.ill = {bad}
    assert ward.run(100)[bad] == 5
    assert ward.heard == [InstanceEjected("counter", bad, 30.0)]
    ward.clock.advance(29.9)
    assert ward.run(100)[bad] == 0
    ward.clock.advance(0.2)
    assert ward.run(100)[bad] == 5  # it returned, and failed as before
    assert ward.heard[1:] == [
        InstanceReturned("counter", bad),
        InstanceEjected("counter", bad, 60.0),
    ]
    ward.clock.advance(60.1)
    ward.ill = set()
    assert ward.run(100)[bad] == 10


def test_the_longest_ejection_is_bounded_and_old_ones_are_forgotten():
    outliers, clock = Outliers(), 1000.0
    ward = Ward()
    ward.run(1)
    members = ward.call._endpointer.roster().members
    seconds = []
    for _ in range(12):
        seconds.append(outliers.eject(members[0], members, clock))
        clock += seconds[-1]
    assert seconds[:3] == [30, 60, 90]
    assert seconds[-1] == 300
    assert outliers.eject(members[0], members, clock + 10 * 12) == 30


@pytest.mark.parametrize(("count", "share"), [(2, 1), (3, 1), (10, 1), (20, 2), (100, 10)])
def test_at_most_a_tenth_is_away_but_one_may_be(count, share):
    ward = Ward(count)
    ward.ill = set(ward.all[: count // 2])
    ward.run(count * 30)
    assert len(ward.heard) == share


def test_the_only_one_is_never_ejected():
    ward = Ward(1)
    ward.ill = set(ward.all)
    ward.run(50)
    assert ward.heard == []


def test_successes_and_the_callers_faults_end_a_row():
    ward = Ward(2)
    bad = ward.all[0]
    for _ in range(10):
        ward.ill = {bad}
        ward.run(8)  # four in a row
        ward.ill = set()
        ward.run(2)
    ward.error = DecodeError("$.v: expected int, got str")
    ward.error.upstream = "counter"
    ward.ill = {bad}
    ward.run(50)
    assert ward.heard == []


def test_a_call_that_was_not_sent_neither_ends_a_row_nor_lengthens_it():
    ward = Ward(2)
    bad, away = ward.all[0], ward.error
    ward.ill = {bad}
    ward.run(8)
    ward.error = DeadlineExceeded()
    ward.run(20)
    ward.error = away
    ward.run(2)
    assert len(ward.heard) == 1


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (UpstreamUnavailable("x"), True),
        (UpstreamTimeout("x"), True),
        (UpstreamFailed("x"), True),
        (UpstreamFailed("x", status=500), True),
        (UpstreamFailed("x", status=404), False),
        (UpstreamFailed("x", status=302), False),
        (OutcomeUnknown(), True),
        (ConnectionResetError(), True),
        (TimeoutError(), True),
        (CircuitOpen(), True),
        (Overloaded(), False),
        (RateLimited(), False),
        (DeadlineExceeded(), False),
        (DecodeError("x"), False),
        (ValueError("x"), False),
        (SystemExit(), False),
    ],
)
def test_what_counts_against_an_instance(error, counts):
    assert at_fault(error) is counts


def test_a_503_of_theirs_counts_and_a_429_does_not():
    for kind, counts in ((Overloaded, True), (CircuitOpen, True), (RateLimited, False)):
        error = kind()
        error.upstream = "counter"
        assert at_fault(error) is counts


def test_counts_is_the_users_and_may_be_broken(caplog):
    ward = Ward(2, error=ValueError("mine"), counts=lambda error: isinstance(error, ValueError))
    ward.ill = {ward.all[0]}
    ward.run(20)
    assert len(ward.heard) == 1
    broken = Ward(2, counts=lambda error: 1 / 0)
    broken.ill = {broken.all[0]}
    broken.run(20)
    assert broken.heard == []
    assert "ZeroDivisionError" in caplog.text


def test_outliers_can_be_off():
    ward = Ward(outliers=None)
    ward.ill = {ward.all[0]}
    assert ward.run(200)[ward.all[0]] == 20
    assert ward.heard == []


def ill(*addresses, healthy=False, **more):
    return [Instance.parse(each, healthy=healthy, **more) for each in addresses]


def test_the_unhealthy_are_left_out_until_too_many_are():
    ward = Ward(4)
    a, b, c, d = ward.all
    ward.run(4)
    ward.told.tell(*ill(a, b), *ill(c, d, healthy=True))
    assert set(ward.run(8)) == {c, d}
    assert ward.heard == []
    ward.told.tell(*ill(a, b, c), *ill(d, healthy=True))
    assert set(ward.run(8)) == {a, b, c, d}
    ward.told.tell(*ill(a, b, c, d))
    assert set(ward.run(8)) == {a, b, c, d}
    assert ward.heard == [TooFewHealthy("counter", 1, 4)]
    ward.told.tell(*ill(a, b, c, d, healthy=True))
    ward.run(4)
    ward.told.tell(*ill(a, b, c, d))
    ward.run(4)
    assert ward.heard[1:] == [TooFewHealthy("counter", 0, 4)]


def test_without_panic_a_call_is_refused_when_none_is_well():
    told = Told()
    told.tell(*ill("a:1", "b:1"))
    with pytest.raises(NoInstance) as refused:
        Balancer(Endpointer(told, Factory()), panic=0)(Context(), 1)
    assert refused.value.retry_after == 1.0


def test_a_later_tier_serves_when_the_first_is_not_well():
    told = Told()
    first, second = ("a:1", "b:1"), ("c:1", "d:1")

    def served(*instances):
        told.tell(*instances)
        return {call(Context(), 1) for _ in range(8)}

    call = Balancer(Endpointer(told, Factory()), RoundRobin())
    well = {"healthy": True}
    assert served(*ill(*first, **well), *ill(*second, priority=1, **well)) == set(first)
    assert served(*ill("a:1"), *ill("b:1", **well), *ill(*second, priority=1, **well)) == {"b:1"}
    assert served(*ill(*first), *ill(*second, priority=1, **well)) == set(second)
    assert served(*ill(*first), *ill(*second, priority=1)) == {*first, *second}


def test_the_own_zone_is_preferred_while_it_is_well():
    told = Told()
    here = [f"a{n}:1" for n in range(4)]
    there = [f"b{n}:1" for n in range(4)]

    def served(*instances):
        told.tell(*instances)
        return {call(Context(), 1) for _ in range(16)}

    call = Balancer(Endpointer(told, Factory()), RoundRobin(), zone="here")
    other = ill(*there, healthy=True, zone="there")
    assert served(*ill(*here, healthy=True, zone="here"), *other) == set(here)
    one_ill = [*ill(here[0], zone="here"), *ill(*here[1:], healthy=True, zone="here")]
    assert served(*one_ill, *other) == set(here[1:])
    two_ill = [*ill(*here[:2], zone="here"), *ill(*here[2:], healthy=True, zone="here")]
    assert served(*two_ill, *other) == {*here[2:], *there}
    assert served(*other) == set(there)


def test_a_new_instance_takes_up_its_share_by_and_by():
    ward = Ward(9, slow_start=10.0)
    ward.run(9)
    new = "10.9.9.9:80"
    ward.told.tell(*ward.all, new)
    shares = []
    for _ in range(6):
        shares.append(ward.run(2000)[new] / 200)
        ward.clock.advance(2.0)
    assert 0.05 <= shares[0] < 0.2
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_a_set_that_is_all_new_starts_at_once():
    ward = Ward(3, slow_start=10.0)
    assert set(ward.run(300).values()) == {100}
    ward.told.tell("x:1", "y:1")
    assert set(ward.run(300).values()) == {150}


@pytest.mark.parametrize(
    "wrong", [{"after": 0}, {"seconds": 0}, {"seconds": 301.0}, {"longest": 1e9}, {"share": 2}]
)
def test_outliers_that_cannot_work_are_said_at_once(wrong):
    with pytest.raises(ConfigurationError):
        Outliers(**wrong)


def test_status_tells_people_of_each():
    call = Balancer(over("a:1"))
    call(Context(), 1)
    (row,) = call.status()
    assert (row["instance"], row["healthy"], row["failures_in_a_row"]) == ("a:1", True, 0)


@pytest.mark.parametrize(
    "error",
    [
        CircuitOpen(),
        Overloaded(),
        RateLimited(retry_after=1.0),
        UpstreamUnavailable("connection refused", upstream="counter"),
    ],
)
def test_what_was_sent_to_nobody_goes_to_another_at_once(error):
    ward = Ward(3, error=error)
    ward.ill = set(ward.all[:2])
    for _ in range(30):
        ctx = Context()
        assert ward.call(ctx, 1) == ward.all[2]
        assert len(ctx.notes.of(Asked)) <= 3
    assert all(each["in_flight"] == 0 for each in ward.call.status())


def test_what_all_members_refuse_is_refused_after_so_many():
    for count, most in ((1, 1), (3, 3), (20, 9)):
        ward = Ward(count, error=CircuitOpen(retry_after=2.0), outliers=None)
        ward.ill = set(ward.all)
        ctx = Context()
        with pytest.raises(CircuitOpen) as raised:
            ward.call(ctx, 1)
        assert raised.value is ward.error
        asked = [each.instance for each in ctx.notes.of(Asked)]
        assert len(asked) == most
        assert len(set(asked)) == most, "none twice"
        assert all(each["in_flight"] == 0 for each in ward.call.status())


@pytest.mark.parametrize(
    "error",
    [
        UpstreamFailed("lost", upstream="counter"),
        UpstreamUnavailable("busy", upstream="counter", status=503),
        OutcomeUnknown(),
        DeadlineExceeded(),
        KeyError(1),
        KeyboardInterrupt(),
    ],
)
def test_what_may_have_been_sent_is_not_sent_to_another(error):
    ward = Ward(3, error=error)
    ward.ill = set(ward.all)
    ctx = Context()
    with pytest.raises(type(error)):
        ward.call(ctx, 1)
    assert len(ctx.notes.of(Asked)) == 1


def test_a_refusal_that_came_from_the_instance_is_not_sent_to_another():
    there = Overloaded()
    there.upstream = "counter"
    ward = Ward(3, error=there)
    ward.ill = set(ward.all)
    ctx = Context()
    with pytest.raises(Overloaded):
        ward.call(ctx, 1)
    assert len(ctx.notes.of(Asked)) == 1


def test_a_further_try_goes_to_a_member_that_has_not_had_the_call():
    ward = Ward(3, outliers=None)
    ward.ill = set(ward.all)
    for _ in range(20):
        ctx = Context()
        for attempt in (1, 2, 3, 4):
            tried = ctx if attempt == 1 else ctx.having(ATTEMPT, attempt)
            with pytest.raises(UpstreamFailed):
                ward.call(tried, 1)
        asked = [each.instance for each in ctx.notes.of(Asked)]
        # The fourth finds none that is new, and is sent all the same.
        assert sorted(asked[:3]) == ward.all
        assert len(asked) == 4


def test_one_that_leaves_while_another_is_looked_for_is_not_called():
    ward = Ward(2, error=CircuitOpen(), panic=0)
    ward.ill = set(ward.all)

    def leave(address, ctx, request):
        ward.told.tell()
        raise ward.error

    call = Balancer(Endpointer(ward.told, Factory(leave), clock=ward.clock), clock=ward.clock)
    ctx = Context()
    with pytest.raises(CircuitOpen):
        call(ctx, 1)
    assert len(ctx.notes.of(Asked)) == 1
