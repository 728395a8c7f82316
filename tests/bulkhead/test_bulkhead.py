from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from falconkit import Context, layers
from falconkit.bulkhead import Bulkhead, bulkhead, share
from falconkit.errors import ConfigurationError, Overloaded
from falconkit.testing import ManualClock, Script, wait_until

LONG = 30.0


class Held:
    """An endpoint whose calls stay in flight until they are let go; knows how many were."""

    def __init__(self):
        self.go = threading.Event()
        self._lock = threading.Lock()
        self.now = self.most = 0

    def __call__(self, ctx, request, /):
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.go.wait(LONG)
        with self._lock:
            self.now -= 1
        return request


def waiting(room, number):
    wait_until(lambda: room.status()["waiting"] == number, LONG)


def full(limit=1, **bounds):
    room = Bulkhead(limit, **bounds)
    for _ in range(limit):
        room.enter()
    return room


def test_as_many_as_there_are_places_and_no_more():
    room = Bulkhead(2)
    room.enter()
    room.enter()
    with pytest.raises(Overloaded):
        room.enter()
    room.leave()
    room.enter()
    assert room.status() == {"limit": 2, "in_flight": 2, "waiting": 0, "refused": 1}


def test_a_place_comes_back_whatever_is_raised():
    room = Bulkhead(1)
    errors = [ValueError("no"), KeyboardInterrupt(), SystemExit(3)]
    call = bulkhead(room)(Script(*errors, "ok"))
    for error in errors:
        with pytest.raises(type(error)):
            call(Context(), 1)
    assert call(Context(), 1) == "ok"
    assert room.status()["in_flight"] == 0


def test_the_refused_are_told_different_times():
    chance = iter([0.5, 1.5])
    room = full(retry_after=2.0, rng=lambda low, high: next(chance))
    told = []
    for _ in range(2):
        with pytest.raises(Overloaded) as caught:
            room.enter()
        told.append(caught.value.retry_after)
    assert told == [1.0, 3.0]


def test_chance_is_asked_for_a_half_more_or_less():
    asked = []
    room = full(rng=lambda low, high: asked.append((low, high)) or 1.0)
    with pytest.raises(Overloaded):
        room.enter()
    assert asked == [(0.5, 1.5)]


def test_a_wait_ends_after_max_wait():
    clock = ManualClock()
    waits = []
    room = full(max_wait=0.25, clock=clock, wait=lambda turn, seconds: waits.append(seconds))
    with pytest.raises(Overloaded):
        room.enter()
    assert waits == [0.25]
    assert room.status() == {"limit": 1, "in_flight": 1, "waiting": 0, "refused": 1}


@pytest.mark.parametrize(
    ("left", "waits"), [(0.1, [pytest.approx(0.1)]), (9.0, [0.25]), (0.0, []), (-5.0, [])]
)
def test_a_wait_never_goes_past_the_deadline(left, waits):
    clock = ManualClock()
    seen = []
    room = full(max_wait=0.25, clock=clock, wait=lambda turn, seconds: seen.append(seconds))
    call = bulkhead(room)(Script())
    with pytest.raises(Overloaded):
        call(Context(deadline=clock.monotonic() + left), 1)
    assert seen == waits


def test_a_deadline_that_is_over_does_not_matter_when_there_is_a_place():
    clock = ManualClock()
    call = bulkhead(1, clock=clock)(Script("ok"))
    assert call(Context(deadline=clock.monotonic() - 1), 1) == "ok"


def test_a_place_that_comes_free_during_the_wait_is_taken():
    room = full(max_wait=1.0, wait=lambda turn, seconds: room.leave())
    room.enter()
    assert room.status() == {"limit": 1, "in_flight": 1, "waiting": 0, "refused": 0}


def test_a_place_handed_over_at_the_last_moment_is_not_lost():
    def late(turn, seconds):
        room.leave()
        raise KeyboardInterrupt

    room = full(max_wait=1.0, wait=late)
    with pytest.raises(KeyboardInterrupt):
        room.enter()
    assert room.status()["in_flight"] == 0


def test_who_is_interrupted_leaves_the_queue():
    def interrupted(turn, seconds):
        raise KeyboardInterrupt

    room = full(max_wait=1.0, wait=interrupted)
    with pytest.raises(KeyboardInterrupt):
        room.enter()
    assert room.status() == {"limit": 1, "in_flight": 1, "waiting": 0, "refused": 0}
    room.leave()
    room.enter()


def test_so_many_wait_and_the_next_is_refused_at_once():
    room = full(max_wait=LONG, max_waiters=2)
    with ThreadPoolExecutor(2) as pool:
        waiters = [pool.submit(room.enter) for _ in range(2)]
        waiting(room, 2)
        with pytest.raises(Overloaded):
            room.enter()
        for _ in waiters:
            room.leave()
        for waiter in waiters:
            waiter.result(LONG)
    assert room.status() == {"limit": 1, "in_flight": 1, "waiting": 0, "refused": 1}


def test_places_are_handed_over_in_the_order_of_coming():
    room = full(max_wait=LONG, max_waiters=8)
    came = []

    def enter(who):
        room.enter()
        came.append(who)
        room.leave()

    threads = [threading.Thread(target=enter, args=(who,)) for who in range(8)]
    for number, thread in enumerate(threads, 1):
        thread.start()
        waiting(room, number)
    room.leave()
    for thread in threads:
        thread.join(LONG)
    assert came == list(range(8))


def test_nobody_passes_those_who_wait():
    order = []

    def overtaken(turn, seconds):
        room.leave()  # hands the place to who waits; the one who comes now finds none
        with pytest.raises(Overloaded):
            room.enter(deadline=0.0)
        order.append("refused")

    room = full(max_wait=1.0, max_waiters=1, wait=overtaken)
    room.enter()
    assert order == ["refused"]


def test_threads_never_go_over_the_bound_and_all_that_wait_are_served():
    room = Bulkhead(3, max_wait=LONG, max_waiters=64)
    lock = threading.Lock()
    now = most = 0

    def inner(ctx, request):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        with lock:
            now -= 1
        return request

    call = bulkhead(room)(inner)
    with ThreadPoolExecutor(32) as pool:
        assert list(pool.map(lambda v: call(Context(), v), range(5_000))) == list(range(5_000))
    assert most <= 3
    assert room.status() == {"limit": 3, "in_flight": 0, "waiting": 0, "refused": 0}


def test_no_refusal_is_lost_from_the_count():
    room = full(max_wait=1.0, max_waiters=64, wait=lambda turn, seconds: None)

    def refused(_):
        with pytest.raises(Overloaded):
            room.enter()

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(refused, range(3_000)))
    assert room.status() == {"limit": 1, "in_flight": 1, "waiting": 0, "refused": 3_000}


def test_what_is_more_than_the_bound_is_refused_while_the_others_are_in_flight():
    held = Held()
    call = bulkhead(4)(held)
    with ThreadPoolExecutor(4) as pool:
        served = [pool.submit(call, Context(), v) for v in range(4)]
        wait_until(lambda: held.now == 4, LONG)
        for _ in range(100):
            with pytest.raises(Overloaded):
                call(Context(), 1)
        held.go.set()
        assert [each.result(LONG) for each in served] == [0, 1, 2, 3]
    assert held.most == 4


def test_each_endpoint_has_a_bound_of_its_own():
    held = Held()
    two = bulkhead(1)
    slow, quick = two(held), two(Script("ok"))
    with ThreadPoolExecutor(1) as pool:
        served = pool.submit(slow, Context(), 1)
        wait_until(lambda: held.now == 1, LONG)
        assert quick(Context(), 1) == "ok"
        held.go.set()
        assert served.result(LONG) == 1


def test_endpoints_that_are_given_one_bulkhead_share_it():
    room = Bulkhead(1)
    inner = bulkhead(room)(Script())
    outer = bulkhead(room)(lambda ctx, request: inner(ctx, request))
    with pytest.raises(Overloaded):
        outer(Context(), 1)


@pytest.mark.parametrize(
    "build",
    [
        lambda: bulkhead(0),
        lambda: bulkhead(True),
        lambda: bulkhead(1.5),
        lambda: bulkhead("8"),
        lambda: bulkhead(8, max_wait=-1),
        lambda: bulkhead(8, max_wait=float("nan")),
        lambda: bulkhead(8, max_waiters=0),
        lambda: bulkhead(8, retry_after=0),
        lambda: bulkhead(Bulkhead(8), max_wait=1.0),
        lambda: share(1, workers=2),
        lambda: share(8, workers=0),
    ],
)
def test_what_cannot_be_used_is_said_when_it_is_built(build):
    with pytest.raises(ConfigurationError):
        build()


def test_the_layer_shows_the_bound():
    (layer,) = layers(bulkhead(8, max_wait=0.5)(Script()))
    assert layer.name == "bulkhead"
    assert layer.config == {"limit": 8, "max_wait": 0.5}
