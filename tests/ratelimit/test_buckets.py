"""The arithmetic of a bucket, against one that is kept in fractions."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from falconkit.arena import Arena
from falconkit.ratelimit import Store, TokenBucket
from falconkit.ratelimit.memory import MemoryBuckets
from falconkit.testing import ManualClock

few = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
calls = st.lists(st.tuples(st.integers(0, 4096), st.integers(0, 6)), min_size=1, max_size=40)
"""Steps of (1/1024 seconds to wait, cost): floats keep these exactly."""


class Model:
    """A bucket by the book: tokens, and when they were counted."""

    def __init__(self, interval: Fraction, burst: int) -> None:
        self.interval = interval
        self.burst = burst
        self.tokens = Fraction(burst)

    def wait(self, seconds: Fraction) -> None:
        self.tokens = min(Fraction(self.burst), self.tokens + seconds / self.interval)

    def take(self, cost: int) -> bool:
        if cost > self.tokens:
            return False
        self.tokens -= cost
        return True


@pytest.fixture(params=["memory", "arena"])
def clocked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Store, ManualClock]]:
    clock = ManualClock()
    if request.param == "memory":
        yield MemoryBuckets(clock=clock), clock
    else:
        arena = Arena(tmp_path / "arena", clock=clock)
        yield arena.buckets(), clock
        arena.close()


@few
@given(
    steps=calls,
    rate=st.sampled_from(["1/second", "2/second", "4 per 2 second", "8/second", "1 per 2 second"]),
    burst=st.integers(1, 5),
)
def test_decides_as_a_bucket_in_fractions(
    clocked: tuple[Store, ManualClock],
    steps: list[tuple[int, int]],
    rate: str,
    burst: int,
) -> None:
    store, clock = clocked
    bucket = TokenBucket(rate, burst=burst, storage=store)
    bucket.clear("ann")
    model = Model(Fraction(bucket.rate.interval), burst)
    for ticks, cost in steps:
        clock.advance(ticks / 1024)
        model.wait(Fraction(ticks, 1024))
        looked = bucket.peek("ann", cost)
        decision = bucket.take("ann", cost)
        assert looked.allowed == decision.allowed == model.take(cost)
        assert decision.remaining == int(model.tokens)
        assert decision.reset_after == (burst - model.tokens) * model.interval
        if decision.allowed:
            assert decision.retry_after == 0.0
        elif cost > burst:
            assert decision.retry_after is None
        else:
            assert decision.retry_after == (cost - model.tokens) * model.interval


@few
@given(
    steps=st.lists(st.tuples(st.floats(0, 3), st.integers(1, 9)), min_size=1, max_size=60),
    rate=st.sampled_from(["3/second", "7/second", "50/second", "30/minute", "1000/second"]),
    burst=st.integers(1, 60),
)
def test_never_admits_more_than_rate_and_burst(
    clocked: tuple[Store, ManualClock],
    steps: list[tuple[float, int]],
    rate: str,
    burst: int,
) -> None:
    store, clock = clocked
    bucket = TokenBucket(rate, burst=burst, storage=store)
    bucket.clear("ann")
    begin, admitted = clock.monotonic(), 0
    for seconds, cost in steps:
        clock.advance(seconds)
        decision = bucket.take("ann", cost)
        admitted += cost if decision.allowed else 0
        passed = clock.monotonic() - begin
        assert admitted <= burst + passed / bucket.rate.interval + 1e-3
        if decision.retry_after:
            # Just when it says: not a thousandth of a token sooner.
            clock.advance(decision.retry_after - 1e-3 * bucket.rate.interval)
            assert not bucket.peek("ann", cost).allowed
            clock.advance(2e-3 * bucket.rate.interval)
            assert bucket.peek("ann", cost).allowed


@pytest.mark.parametrize(
    "rate", ["3/second", "7 per 3 second", "50/second", "30/minute", "97/hour"]
)
@pytest.mark.parametrize("uptime", [0.0, 1.0, 1e5, 3.3e7])
def test_rounding_hides_no_token(rate: str, uptime: float) -> None:
    clock = ManualClock(monotonic=uptime)
    bucket = TokenBucket(rate, storage=MemoryBuckets(clock=clock))
    for left in reversed(range(bucket.limit)):
        decision = bucket.take("ann")
        assert (decision.allowed, decision.remaining) == (True, left)
    assert not bucket.take("ann").allowed
    for _ in range(200):
        clock.advance(bucket.take("ann").retry_after or 0.0)
        assert bucket.take("ann").allowed


def test_a_full_bucket_takes_no_room() -> None:
    clock = ManualClock()
    buckets = MemoryBuckets(clock=clock, max_keys=1000)
    for each in range(600):
        buckets.take(f"old{each}", 1.0, 1)
    clock.advance(1.0)
    for each in range(300):
        buckets.take(f"new{each}", 1.0, 1)
    assert buckets.status() == {"keys": 300, "overflowed": 0}


def test_callers_beyond_the_bound_share_a_bucket() -> None:
    clock = ManualClock()
    buckets = MemoryBuckets(clock=clock, max_keys=3)
    assert [buckets.take(key, 1.0, 2)[0] for key in "abc"] == [True] * 3
    assert [buckets.take(key, 1.0, 2)[0] for key in "defg"] == [True, True, False, False]
    assert buckets.status() == {"keys": 4, "overflowed": 4}
    assert buckets.take("a", 1.0, 2) == (True, 2.0), "those within it keep theirs"
    clock.advance(2.0)
    assert buckets.take("d", 1.0, 2) == (True, 1.0)


def test_clear_and_reset_fill_buckets() -> None:
    buckets = MemoryBuckets(clock=ManualClock())
    for key in "ab":
        buckets.take(key, 1.0, 1)
    buckets.clear("a", 1.0, 1)
    buckets.clear("never seen", 1.0, 1)
    assert (buckets.peek("a", 1.0, 1), buckets.peek("b", 1.0, 1)) == (0.0, 1.0)
    assert buckets.reset() == 1
    assert buckets.peek("b", 1.0, 1) == 0.0
