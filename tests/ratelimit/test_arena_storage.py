from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import limits
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limits.errors import StorageError
from limits.storage import storage_from_string
from limits.strategies import (
    STRATEGIES,
    FixedWindowRateLimiter,
    MovingWindowRateLimiter,
    SlidingWindowCounterRateLimiter,
)

from falconkit.arena import Arena
from falconkit.ratelimit.arena import ArenaStorage
from falconkit.ratelimit.strategy import TokenBucketRateLimiter
from falconkit.testing import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(monotonic=1200.0)


@pytest.fixture
def storage(tmp_path: Path, clock: ManualClock) -> Iterator[ArenaStorage]:
    arena = Arena(tmp_path / "arena", clock=clock)
    yield ArenaStorage(arena=arena, clock=clock)
    arena.close()


def test_is_known_to_limits_by_its_name() -> None:
    assert type(storage_from_string("arena://")) is ArenaStorage
    assert type(storage_from_string("arena://", wrap_exceptions=True)) is ArenaStorage
    assert STRATEGIES["token-bucket"] is TokenBucketRateLimiter


def test_two_storages_of_one_folder_are_one(tmp_path: Path) -> None:
    one = storage_from_string(f"arena://{tmp_path}/run")
    two = storage_from_string(f"arena://{tmp_path}/run")
    assert (one.incr("k", 60), two.incr("k", 60)) == (1, 2)


def test_has_no_moving_window(storage: ArenaStorage) -> None:
    with pytest.raises(NotImplementedError):
        MovingWindowRateLimiter(storage)


def test_a_fixed_window_begins_with_its_first_hit(
    storage: ArenaStorage, clock: ManualClock
) -> None:
    assert storage.get("k") == 0
    assert storage.get_expiry("k") == clock.time()
    assert storage.incr("k", 10) == 1
    ends = clock.time() + 10
    clock.advance(4.0)
    assert storage.incr("k", 10, amount=3) == 4
    assert (storage.get("k"), storage.get_expiry("k")) == (4, ends)
    clock.advance(5.999)
    assert storage.incr("k", 10) == 5
    clock.advance(0.001)
    assert (storage.get("k"), storage.get_expiry("k")) == (0, clock.time())
    assert storage.incr("k", 10) == 1
    assert storage.get_expiry("k") == clock.time() + 10


def test_a_wall_clock_that_is_set_moves_no_window(
    storage: ArenaStorage, clock: ManualClock
) -> None:
    storage.incr("k", 10)
    clock.set_time(clock.time() + 86_400)
    assert storage.get("k") == 1
    assert storage.get_expiry("k") == clock.time() + 10


def test_clear_and_reset(storage: ArenaStorage) -> None:
    item = limits.parse("2/minute")
    sliding, bucket = SlidingWindowCounterRateLimiter(storage), TokenBucketRateLimiter(storage)
    for key in ("a", "b"):
        storage.incr(key, 60)
        sliding.hit(item, key)
        bucket.hit(item, key)
    storage.clear("a")
    sliding.clear(item, "a")
    bucket.clear(item, "a")
    assert (storage.get("a"), storage.get("b")) == (0, 1)
    assert [sliding.get_window_stats(item, key).remaining for key in "ab"] == [2, 1]
    assert [bucket.get_window_stats(item, key).remaining for key in "ab"] == [2, 1]
    storage.reset()
    assert storage.get("b") == 0
    assert sliding.get_window_stats(item, "b").remaining == 2
    assert bucket.get_window_stats(item, "b").remaining == 2


def test_checks_itself(storage: ArenaStorage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert storage.check() is True

    class Broken:
        def read(self, key: str) -> None:
            raise OSError("gone")

    monkeypatch.setattr(storage, "_fixed", Broken())
    assert storage.check() is False
    with pytest.raises(OSError, match="gone"):
        storage.get("k")
    storage.wrap_exceptions = True
    with pytest.raises(StorageError):
        storage.get("k")


def test_100_threads_are_counted_exactly(storage: ArenaStorage) -> None:
    seen: list[int] = []

    def hits() -> None:
        for _ in range(10):
            seen.append(storage.incr("k", 60))

    threads = [threading.Thread(target=hits) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == list(range(1, 1001))


def test_a_sliding_window_weighs_the_one_before(storage: ArenaStorage, clock: ManualClock) -> None:
    limiter, item = SlidingWindowCounterRateLimiter(storage), limits.parse("4/minute")
    assert [limiter.hit(item) for _ in range(5)] == [True] * 4 + [False]
    key = item.key_for()
    assert storage.get_sliding_window(key, 60) == (0, 0.0, 4, 120.0)
    clock.advance(75.0)
    assert storage.get_sliding_window(key, 60) == (4, 45.0, 0, 105.0)
    assert limiter.test(item, cost=1)
    assert not limiter.test(item, cost=2)
    assert [limiter.hit(item, cost=2), limiter.hit(item), limiter.hit(item)] == [False, True, False]
    clock.advance(120.0)
    assert storage.get_sliding_window(key, 60) == (0, 0.0, 0, 105.0)
    assert not limiter.hit(item, cost=5)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(st.tuples(st.floats(0, 20), st.integers(1, 4)), min_size=1, max_size=50))
def test_windows_count_as_a_list_of_all_hits_does(
    storage: ArenaStorage, clock: ManualClock, steps: list[tuple[float, int]]
) -> None:
    storage.reset()
    item, fixed = limits.parse("7 per 30 second"), FixedWindowRateLimiter(storage)
    sliding = SlidingWindowCounterRateLimiter(storage)
    hits: list[float] = []
    begins, counted = float("-inf"), 0
    for seconds, cost in steps:
        clock.advance(seconds)
        now = clock.monotonic()
        if now >= begins + 30:
            begins, counted = now, 0
        counted += cost
        assert fixed.hit(item, "k", cost=cost) == (counted <= 7)
        window = now // 30 * 30
        current = sum(window <= hit for hit in hits)
        previous = sum(window - 30 <= hit < window for hit in hits)
        weighted = int(previous * (1 - now / 30 % 1) + current)
        taken = sliding.hit(item, "k", cost=cost)
        assert taken == (weighted + cost <= 7)
        hits += [now] * cost if taken else []
