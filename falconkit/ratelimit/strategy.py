"""The strategy ``token-bucket`` for people who have `limits` already."""

from __future__ import annotations

from typing import Any, Protocol, cast

from limits import RateLimitItem, strategies
from limits.storage import MemoryStorage, RedisStorage, Storage, StorageTypes
from limits.util import WindowStats

from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError
from falconkit.ratelimit.keys import bounded
from falconkit.ratelimit.memory import MemoryBuckets
from falconkit.ratelimit.storage import Store

NAME = "token-bucket"
"""What it is called in `limits.strategies.STRATEGIES`."""

_MARK = "falconkit/token-bucket"


class _HasBuckets(Protocol):
    buckets: Store


class TokenBucketRateLimiter(strategies.RateLimiter):
    """A strategy of `limits`: an item's ``amount`` at once, refilled at ``amount`` a period.

    It takes the storages ``arena://``, ``memory://`` and ``redis://``, and keeps
    in each what the storage's own ``reset`` forgets.

    >>> import limits
    >>> from limits.storage import storage_from_string
    >>> bucket = TokenBucketRateLimiter(storage_from_string("memory://"))
    >>> item = limits.parse("2/minute")
    >>> [bucket.hit(item, "ann") for _ in range(3)]
    [True, True, False]
    >>> bucket.get_window_stats(item, "ann").remaining
    0
    """

    def __init__(self, storage: StorageTypes, *, clock: Clock = system_clock) -> None:
        """Keep buckets in ``storage``.

        Raises:
            ConfigurationError: It is none of the storages named above.
        """
        super().__init__(storage)
        self._clock = clock
        self._store = _store_of(self.storage, clock)

    def hit(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Take ``cost`` calls, or none; returns whether they were there.

        Raises:
            ValueError: ``cost`` is negative.
        """
        if cost < 0:
            raise ValueError(f"a hit cannot cost {cost}: that would give calls back")
        if item.amount < 1:
            return False
        return self._store.take(_key(item, identifiers), *_shape(item), cost)[0]

    def test(self, item: RateLimitItem, *identifiers: str, cost: int = 1) -> bool:
        """Return whether `hit` would take them."""
        if item.amount < 1:
            return False
        interval, burst = _shape(item)
        level = self._store.peek(_key(item, identifiers), interval, burst)
        return level + cost * interval <= (burst + 1e-6) * interval

    def get_window_stats(self, item: RateLimitItem, *identifiers: str) -> WindowStats:
        """Return the calls that are left, and when there will be one more.

        That is the moment at which a refused call would pass, so a
        ``Retry-After`` that is made of it is right. In seconds since 1970.
        """
        now = self._clock.time()
        if item.amount < 1:
            return WindowStats(now, 0)
        interval, burst = _shape(item)
        level = self._store.peek(_key(item, identifiers), interval, burst)
        remaining = max(0, int(burst - level / interval + 1e-6))
        next_in = min(level, level - (burst - remaining - 1) * interval)
        return WindowStats(now + max(0.0, next_in), remaining)

    def clear(self, item: RateLimitItem, *identifiers: str) -> None:
        """Fill the bucket."""
        if item.amount >= 1:
            self._store.clear(_key(item, identifiers), *_shape(item))


def register() -> None:
    """Make the strategy known to `limits`, and so to Flask-Limiter and slowapi."""
    known = cast(dict[str, Any], strategies.STRATEGIES)
    known[NAME] = TokenBucketRateLimiter


class _ResettableBuckets(MemoryBuckets):
    """Buckets beside a `limits.storage.MemoryStorage`, forgotten when that is reset."""

    def __init__(self, storage: MemoryStorage, clock: Clock) -> None:
        super().__init__(clock=clock)
        self._storage = storage
        self._mark()

    def take(self, key: str, interval: float, burst: int, cost: int = 1) -> tuple[bool, float]:
        self._follow()
        return super().take(key, interval, burst, cost)

    def peek(self, key: str, interval: float, burst: int) -> float:
        self._follow()
        return super().peek(key, interval, burst)

    def _mark(self) -> None:
        self._storage.expirations[_MARK] = float("inf")
        self._storage.storage[_MARK] = 1

    def _follow(self) -> None:
        # `reset` empties the storage and tells nobody: the mark goes with the rest.
        if _MARK not in self._storage.storage:
            self._mark()
            self.reset()


def _store_of(storage: Storage, clock: Clock) -> Store:
    if isinstance(storage, RedisStorage):
        from falconkit.ratelimit.redis import RedisBuckets

        return RedisBuckets(cast(Any, storage.get_connection()), prefix=storage.prefixed_key(""))
    if isinstance(storage, MemoryStorage):
        # One for all strategies over this storage; of two made at once the first stays.
        buckets: Store = storage.__dict__.setdefault(_MARK, _ResettableBuckets(storage, clock))
        return buckets
    if hasattr(storage, "buckets"):
        return cast(_HasBuckets, storage).buckets
    raise ConfigurationError(
        f"the strategy {NAME!r} keeps no buckets in a {type(storage).__name__}: "
        "use arena://, memory:// or redis://"
    )


def _key(item: RateLimitItem, identifiers: tuple[str, ...]) -> str:
    return bounded(item.key_for(*identifiers))


def _shape(item: RateLimitItem) -> tuple[float, int]:
    return item.get_expiry() / item.amount, item.amount
