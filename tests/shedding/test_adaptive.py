from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from falconkit.errors import (
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    DecodeError,
    Overloaded,
    UpstreamFailed,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from falconkit.shedding import AdaptiveLimit, Gradient2, State
from falconkit.testing import ManualClock


class Recorder:
    """A policy that keeps what it is shown; its bound is what the test says."""

    def __init__(self, limit=4.0):
        self.limit = limit
        self.windows = []
        self.ended = []

    def first(self):
        return State(self.limit)

    def after(self, state, window, /):
        self.windows.append(window[:4])
        self.ended.append(window.ended)
        return State(self.limit)


def calls(limit, clock, number, seconds, error=None):
    for _ in range(number):
        started = clock.monotonic()
        assert limit.enter()
        clock.advance(seconds)
        limit.leave(started, clock.monotonic(), error)


@pytest.fixture
def clock():
    return ManualClock()


def test_a_window_tells_the_mean_and_the_most_in_flight(clock):
    policy = Recorder()
    limit = AdaptiveLimit(policy, window=1.0, least_calls=3, clock=clock)
    begun = clock.monotonic()
    assert limit.enter()
    assert limit.enter()
    assert limit.enter()
    clock.advance(0.5)
    limit.leave(begun, clock.monotonic())
    limit.leave(begun, clock.monotonic())
    assert policy.windows == []
    clock.advance(1.0)
    limit.leave(begun, clock.monotonic())
    ((seconds, in_flight, dropped, refused),) = policy.windows
    assert seconds == pytest.approx((0.5 + 0.5 + 1.5) / 3)
    assert (in_flight, dropped, refused) == (3, 0, 0)


def test_a_window_goes_on_until_it_has_seen_enough_calls(clock):
    policy = Recorder()
    limit = AdaptiveLimit(policy, window=1.0, least_calls=8, clock=clock)
    calls(limit, clock, 4, 0.5)
    clock.advance(1_000.0)
    calls(limit, clock, 3, 0.5)
    assert policy.windows == []
    calls(limit, clock, 1, 0.5)
    assert policy.windows == [(0.5, 1, 0, 0)]


def test_the_windows_of_all_processes_end_together():
    clock = ManualClock(monotonic=5.25, time=1_000.0)
    for start in (0.0, 0.3, 0.9):
        clock.advance(start)
        policy = Recorder()
        limit = AdaptiveLimit(policy, window=2.0, least_calls=1, clock=clock)
        calls(limit, clock, 60, 0.125)
        assert all(at % 2.0 < 0.126 for at in policy.ended[1:])
        assert len(policy.ended) >= 3


def test_the_bound_follows_the_policy(clock):
    policy = Recorder(limit=2.0)
    limit = AdaptiveLimit(policy, least_calls=1, clock=clock)
    policy.limit = 3.7
    assert limit.limit == 2
    calls(limit, clock, 1, 1.0)
    assert limit.limit == 3
    assert [limit.enter() for _ in range(4)] == [True, True, True, False]
    policy.limit = 1.0
    limit.leave(clock.monotonic(), clock.monotonic() + 2.0)
    assert not limit.enter()  # those that are in flight are more than the bound by now
    assert limit.status() == {"limit": 1, "in_flight": 2, "refused": 2}


@pytest.mark.parametrize(
    ("error", "seconds", "dropped"),
    [
        (DeadlineExceeded(), 1.0, 1),
        (UpstreamTimeout("late"), 1.0, 1),
        (TimeoutError(), 1.0, 1),
        (Overloaded(), 0.2, 1),
        (UpstreamUnavailable("away"), 0.2, 1),
        (UpstreamFailed("500"), 0.2, 0),
        (CircuitOpen(), 0.2, 0),
        (DecodeError("what"), 0.2, 0),
        (ValueError("bug"), 0.2, 0),
        (KeyboardInterrupt(), 0.2, 0),
    ],
    ids=lambda each: type(each).__name__,
)
def test_what_an_error_tells(clock, error, seconds, dropped):
    policy = Recorder()
    limit = AdaptiveLimit(policy, window=1.1, least_calls=1, clock=clock)
    calls(limit, clock, 1, 1.0, error)
    calls(limit, clock, 1, 0.2)
    ((seen, _, drops, _),) = policy.windows
    assert seen == pytest.approx(0.6 if seconds == 1.0 else 0.2)
    assert drops == dropped
    assert limit.in_flight == 0


def test_drops_alone_make_a_window(clock):
    policy = Recorder()
    limit = AdaptiveLimit(policy, window=1.0, least_calls=2, clock=clock)
    calls(limit, clock, 2, 0.5, Overloaded())
    assert policy.windows == [(0.0, 1, 2, 0)]


def test_calls_that_take_no_time_say_nothing(clock):
    policy = Recorder()
    limit = AdaptiveLimit(policy, window=1.0, least_calls=1, clock=clock)
    calls(limit, clock, 1000, 0.00005)
    clock.advance(1.0)
    calls(limit, clock, 1, 0.00005)
    assert policy.windows == []


def test_the_refused_are_told_to_the_policy(clock):
    policy = Recorder(limit=1.0)
    limit = AdaptiveLimit(policy, window=1.0, least_calls=1, clock=clock)
    begun = clock.monotonic()
    assert limit.enter()
    assert not limit.enter()
    assert not limit.enter()
    clock.advance(1.0)
    limit.leave(begun, clock.monotonic())
    calls(limit, clock, 1, 1.0)
    assert [refused for *_, refused in policy.windows] == [2, 0]


@pytest.mark.parametrize(
    ("bound", "share", "let_in"),
    [(10, 1.0, 10), (10, 0.9, 9), (10, 0.5, 5), (4, 0.9, 3), (3, 0.5, 1), (1, 0.5, 1), (1, 0.1, 1)],
)
def test_a_share_of_the_bound(clock, bound, share, let_in):
    limit = AdaptiveLimit(Recorder(limit=float(bound)), clock=clock)
    assert sum(limit.enter(share) for _ in range(20)) == let_in
    assert limit.enter(1.0) == (let_in < bound)


def test_an_idle_process_lets_everybody_in(clock):
    limit = AdaptiveLimit(Gradient2(initial=1), clock=clock)
    for _ in range(10):
        assert limit.enter(0.01)
        limit.leave(0.0, 0.0)


def test_threads_never_go_over_the_bound():
    limit = AdaptiveLimit(Recorder(limit=5.0))
    lock = threading.Lock()
    now = most = let_in = 0

    def call(_):
        nonlocal now, most, let_in
        if not limit.enter():
            return
        with lock:
            now, let_in = now + 1, let_in + 1
            most = max(most, now)
        with lock:
            now -= 1
        limit.leave(0.0, 0.0)

    with ThreadPoolExecutor(32) as pool:
        list(pool.map(call, range(5_000)))
    assert most <= 5
    assert limit.in_flight == 0
    assert let_in + limit.status()["refused"] == 5_000


@pytest.mark.parametrize(
    "build",
    [
        lambda: AdaptiveLimit(window=0),
        lambda: AdaptiveLimit(least_calls=0),
        lambda: AdaptiveLimit(8),
        lambda: AdaptiveLimit("gradient"),
    ],
)
def test_what_cannot_be_used_is_said(build):
    with pytest.raises(ConfigurationError):
        build()
