"""The strategies of `limits`, ours among them, on each storage that people name."""

from __future__ import annotations

import limits
import pytest
from limits.storage import MemcachedStorage, MemoryStorage, Storage, storage_from_string
from limits.strategies import STRATEGIES

import falconkit.ratelimit.arena
from falconkit.arena import Arena
from falconkit.errors import ConfigurationError
from falconkit.ratelimit.arena import ArenaStorage
from falconkit.ratelimit.strategy import TokenBucketRateLimiter
from falconkit.testing import ManualClock

STORAGES = ["memory", "arena", "redis"]


@pytest.fixture(params=STORAGES)
def storage(request: pytest.FixtureRequest, tmp_path) -> Storage:  # type: ignore[no-untyped-def]
    uris = {"memory": "memory://", "arena": f"arena://{tmp_path}/arena"}
    uri = uris.get(request.param) or request.getfixturevalue("redis_url")
    storage = storage_from_string(uri)
    storage.reset()
    return storage


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_each_strategy_holds_its_limit_on_each_storage(strategy: str, storage: Storage) -> None:
    if strategy == "moving-window" and isinstance(storage, ArenaStorage):
        with pytest.raises(NotImplementedError):
            STRATEGIES[strategy](storage)
        return
    limiter, item = STRATEGIES[strategy](storage), limits.parse("3/hour")
    assert limiter.test(item, "ann")
    assert [limiter.hit(item, "ann") for _ in range(4)] == [True, True, True, False]
    assert not limiter.test(item, "ann")
    assert limiter.get_window_stats(item, "ann").remaining == 0
    assert limiter.hit(item, "bob", cost=3)
    assert not limiter.hit(item, "cyd", cost=4)
    limiter.clear(item, "ann")
    assert limiter.hit(item, "ann")
    storage.reset()
    assert limiter.get_window_stats(item, "bob").remaining == 3


def test_a_bucket_refills_where_a_window_would_not() -> None:
    clock = ManualClock()
    limiter = TokenBucketRateLimiter(ArenaStorage(arena=Arena(clock=clock)), clock=clock)
    item = limits.parse("4/minute")
    assert limiter.get_window_stats(item, "k") == (clock.time(), 4)
    assert limiter.hit(item, "k")
    assert limiter.get_window_stats(item, "k") == (clock.time() + 15, 3)
    assert limiter.hit(item, "k", cost=3)
    assert limiter.get_window_stats(item, "k") == (clock.time() + 15, 0)
    assert not limiter.hit(item, "k")
    clock.advance(14.5)
    assert limiter.get_window_stats(item, "k") == (clock.time() + 0.5, 0)
    assert not limiter.test(item, "k")
    clock.advance(0.5)
    assert limiter.test(item, "k")
    assert not limiter.test(item, "k", cost=2)
    assert limiter.hit(item, "k")


def test_strategies_over_one_memory_share_it() -> None:
    memory, item = MemoryStorage(), limits.parse("2/hour")
    one, two = TokenBucketRateLimiter(memory), TokenBucketRateLimiter(memory)
    assert (one.hit(item, "k"), two.hit(item, "k"), one.hit(item, "k")) == (True, True, False)
    assert TokenBucketRateLimiter(MemoryStorage()).hit(item, "k")
    assert memory.get(item.key_for("k")) == 0, "a window of the same name is another thing"


def test_an_amount_of_none_is_refused(storage: Storage) -> None:
    limiter, item = TokenBucketRateLimiter(storage), limits.parse("0/hour")
    assert not limiter.hit(item, "k")
    assert not limiter.test(item, "k")
    assert limiter.get_window_stats(item, "k").remaining == 0
    limiter.clear(item, "k")


def test_a_cost_gives_nothing_back(storage: Storage) -> None:
    limiter, item = TokenBucketRateLimiter(storage), limits.parse("2/hour")
    with pytest.raises(ValueError, match="cannot cost -1"):
        limiter.hit(item, "k", cost=-1)
    assert limiter.hit(item, "k", cost=0)
    assert limiter.get_window_stats(item, "k").remaining == 2


def test_other_storages_are_refused_when_it_is_made() -> None:
    class Elsewhere(MemcachedStorage):
        STORAGE_SCHEME = None

        def __init__(self) -> None:
            pass

    with pytest.raises(ConfigurationError, match="keeps no buckets in a Elsewhere"):
        TokenBucketRateLimiter(Elsewhere())


def test_importing_the_module_again_changes_nothing() -> None:
    assert falconkit.ratelimit.arena.ArenaStorage is ArenaStorage
