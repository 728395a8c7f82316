"""Where buckets are kept: what a store is, and which one a URI names."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

from falconkit.arena import Arena, default_arena
from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError
from falconkit.events import Events
from falconkit.ratelimit.fallback import Fallback
from falconkit.ratelimit.memory import MemoryBuckets

REDIS = ("redis", "rediss", "redis+unix")


class Store(Protocol):
    """Keeps token buckets; ``falconkit.arena.Buckets`` is one.

    A bucket is named by its key, its interval and its burst together, so that
    a rate that was changed begins with a full bucket.
    """

    def take(self, key: str, interval: float, burst: int, cost: int = 1) -> tuple[bool, float]:
        """Take ``cost`` tokens, or nothing, in one step that nobody else's can come between.

        Returns:
            Whether they were there, and the seconds until the bucket is full,
            which may be anything for a cost above the burst.
        """

    def peek(self, key: str, interval: float, burst: int) -> float:
        """Return the seconds until the bucket is full, taking nothing."""

    def clear(self, key: str, interval: float, burst: int) -> object:
        """Fill the bucket."""


class FallbackStore:
    """A store that is decided on this host while its engine is away."""

    def __init__(self, first: Store, second: Store, fallback: Fallback) -> None:
        """Ask ``first``, or ``second`` while ``fallback`` says that it is away."""
        self._first = first
        self._second = second
        self._fallback = fallback
        self.status = fallback.status
        self.carry = fallback.carry

    def take(self, key: str, interval: float, burst: int, cost: int = 1) -> tuple[bool, float]:
        """Take ``cost`` tokens, or nothing."""
        return self._fallback.ask(self._first.take, self._second.take, key, interval, burst, cost)

    def peek(self, key: str, interval: float, burst: int) -> float:
        """Return the seconds until the bucket is full, taking nothing."""
        return self._fallback.ask(self._first.peek, self._second.peek, key, interval, burst)

    def clear(self, key: str, interval: float, burst: int) -> None:
        """Fill the bucket."""
        self._fallback.ask(self._first.clear, self._second.clear, key, interval, burst)


def open_store(
    uri: str,
    *,
    arena: Arena | None = None,
    service: str = "",
    limiter: str = "",
    clock: Clock = system_clock,
    events: Events | None = None,
    variable: str = "",
) -> Store:
    """Return the store that ``uri`` names; nothing is opened yet.

    Args:
        uri: ``arena://``, ``memory://``, ``redis://``, ``rediss://`` or ``redis+unix://``.
        arena: Instead of the process' default arena.
        service: Goes before every key in Redis.
        limiter: What events call it.
        clock: Whose seconds count.
        events: Who hears that Redis is away.
        variable: Where ``uri`` was read from, for the error.

    Raises:
        ConfigurationError: The scheme is unknown, the URI cannot be read, or
            the package that it needs is not installed.
    """
    scheme = scheme_of(uri, ("arena", "memory", *REDIS), variable)
    if scheme == "memory":
        return MemoryBuckets(clock=clock)
    local = arena_of(uri if scheme == "arena" else "arena://", arena, clock).buckets()
    if scheme == "arena":
        return local
    from falconkit.ratelimit import redis

    buckets = redis.RedisBuckets(redis.connect(uri), prefix=f"falconkit:{service}:")
    fallback = Fallback(
        limiter,
        # It writes, as a limiter does: a replica that only reads is not back.
        probe=lambda: buckets.take("probe", 1.0, 1),
        failures=redis.FAILURES,
        clock=clock,
        events=events,
    )
    return FallbackStore(buckets, local, fallback)


def arena_of(uri: str, arena: Arena | None, clock: Clock = system_clock) -> Arena:
    """Return the arena of ``arena://``, or the one in a folder, as in ``arena:///run/counter``."""
    if arena is not None:
        return arena
    folder = urlsplit(uri).path
    return Arena(folder, clock=clock) if folder.strip("/") else default_arena()


def scheme_of(uri: str, known: tuple[str, ...], variable: str = "") -> str:
    """Return the scheme of ``uri``.

    Raises:
        ConfigurationError: It is not one of ``known``.
    """
    scheme = uri.partition("://")[0] if isinstance(uri, str) and "://" in uri else ""
    if scheme not in known:
        names = ", ".join(f"{each}://" for each in known)
        shown = uri if "@" not in str(uri) else f"{scheme}://..."
        raise ConfigurationError(
            f"the rate storage{f' in {variable}' if variable else ''} is {shown!r}: "
            f"it begins with one of {names}"
        )
    return scheme
