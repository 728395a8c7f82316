from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from limits.storage import storage_from_string

from falconkit.arena import Arena
from falconkit.errors import ConfigurationError
from falconkit.ratelimit import Decision, Rate, TokenBucket, WindowLimiter
from falconkit.ratelimit.strategy import TokenBucketRateLimiter
from falconkit.testing import ManualClock


@dataclass
class Settings:
    rate_limit: str = "1 per 2 second"
    rate_burst: int | None = None
    rate_storage: str = "memory://"
    service_name: str = "counter"


def test_a_decision_tells_everything() -> None:
    clock = ManualClock()
    bucket = TokenBucket("30/minute", burst=3, storage="memory://", clock=clock)
    assert bucket.take("ann", 2) == Decision(True, 3, 1, 0.0, 4.0, "30 per 1 minute", 6.0)
    clock.advance(0.5)
    assert bucket.take("ann", 2) == Decision(False, 3, 1, 1.5, 3.5, "30 per 1 minute", 6.0)
    assert bucket.take("ann", 4) == Decision(False, 3, 1, None, 3.5, "30 per 1 minute", 6.0)


def test_a_refusal_carries_the_numbers() -> None:
    error = Decision(False, 3, 1, 1.5, 3.5, "x", 6.0).refusal()
    assert (error.retry_after, error.limit, error.remaining) == (1.5, 3, 1)
    assert str(error) == "rate limit exceeded"


def test_a_name_goes_before_the_rate() -> None:
    bucket = TokenBucket("1/second", storage="memory://", name="burst")
    assert bucket.take("ann").policy == "burst"


def test_peek_and_clear() -> None:
    bucket = TokenBucket("2/second", storage="memory://", clock=ManualClock())
    bucket.take("ann", 2)
    assert bucket.peek("ann") == Decision(False, 2, 0, 0.5, 1.0, "2 per 1 second", 1.0)
    assert bucket.peek("ann", 3).retry_after is None
    bucket.clear("ann")
    assert bucket.peek("ann") == Decision(True, 2, 2, 0.0, 0.0, "2 per 1 second", 1.0)


@pytest.mark.parametrize(
    ("storage", "why"),
    [
        ("memcached://here", "is 'memcached://here': it begins with one of arena://, memory://"),
        ("", "is ''"),
        ("arena", "is 'arena'"),
        (":memory:", "is ':memory:'"),
        ("mongodb://user:secret@here", "is 'mongodb://...'"),
        ("redis://here:port", "the Redis URL cannot be read"),
    ],
)
def test_a_storage_that_cannot_be_used(storage: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        TokenBucket("1/second", storage=storage)
    assert why in str(error.value)
    assert "secret" not in str(error.value)


def test_a_rate_has_its_own_burst() -> None:
    rate = Rate.parse("1/second", burst=7)
    assert TokenBucket(rate, storage="memory://").limit == 7
    with pytest.raises(ConfigurationError, match="burst is 3 beside a Rate"):
        TokenBucket(rate, burst=3, storage="memory://")


@pytest.mark.parametrize(
    "make",
    [
        lambda: TokenBucket("1/second", storage="redis://127.0.0.1:6379"),
        lambda: WindowLimiter("1/second", storage="redis://127.0.0.1:6379"),
        lambda: TokenBucketRateLimiter(storage_from_string("redis://127.0.0.1:6379")),
    ],
)
def test_without_the_package_an_error_names_the_extra(
    make: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    import redis  # noqa: F401 - `limits` has it; it is ours that goes without

    package = sys.modules["falconkit.ratelimit"]
    monkeypatch.delattr(package, "redis", raising=False)
    monkeypatch.delitem(sys.modules, "falconkit.ratelimit.redis", raising=False)
    monkeypatch.setitem(sys.modules, "redis.backoff", None)
    with pytest.raises(ConfigurationError) as error:
        make()
    assert str(error.value) == "redis.backoff is missing: pip install 'falconkit[redis]'"


def test_from_settings() -> None:
    bucket = TokenBucket.from_settings(Settings(rate_burst=4), clock=ManualClock())
    assert repr(bucket) == "TokenBucket('1 per 2 second, burst 4')"
    assert bucket.take("ann").remaining == 3


@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        (Settings(rate_limit="often"), "RATE_LIMIT"),
        (Settings(rate_burst=0), "RATE_BURST"),
        (Settings(rate_storage="disk://"), "RATE_STORAGE"),
    ],
)
def test_settings_that_cannot_be_used_name_the_variable(settings: Settings, variable: str) -> None:
    with pytest.raises(ConfigurationError, match=f" in {variable} is "):
        TokenBucket.from_settings(settings)


def test_the_arena_of_a_folder(tmp_path) -> None:  # type: ignore[no-untyped-def]
    one = TokenBucket("1/hour", storage=f"arena://{tmp_path}/shared")
    two = TokenBucket("1/hour", arena=Arena(tmp_path / "shared"))
    assert one.take("ann").allowed
    assert not two.take("ann").allowed


def test_long_keys_are_shortened_and_stay_apart() -> None:
    seen: list[str] = []

    class Seeing:
        def take(self, key: str, interval: float, burst: int, cost: int = 1) -> tuple[bool, float]:
            seen.append(key)
            return True, 0.0

        def peek(self, key: str, interval: float, burst: int) -> float:
            seen.append(key)
            return 0.0

        def clear(self, key: str, interval: float, burst: int) -> None:
            seen.append(key)

    bucket = TokenBucket("1/second", storage=Seeing())
    bucket.take("k" * 200)
    bucket.take("k" * 201)
    bucket.take("k" * 202)
    bucket.peek("k" * 202)
    bucket.clear("k" * 202)
    assert seen[0] == "k" * 200
    assert seen[1] != seen[2]
    assert seen[2] == seen[3] == seen[4]
    assert max(map(len, seen[1:])) < 60
    assert (bucket.status(), bucket.carry()) == ({}, None)
