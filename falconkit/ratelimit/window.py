"""The window strategies of `limits` as limiters for our middleware."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from limits.storage import MemoryStorage, RedisStorage, Storage
from limits.strategies import STRATEGIES

from falconkit.arena import Arena
from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError
from falconkit.events import Event, Events
from falconkit.ratelimit.arena import ArenaStorage
from falconkit.ratelimit.decision import Decision
from falconkit.ratelimit.fallback import Fallback
from falconkit.ratelimit.hits import Hits
from falconkit.ratelimit.keys import encodable
from falconkit.ratelimit.rate import item_of
from falconkit.ratelimit.storage import REDIS, scheme_of

_SLIDING = "sliding-window-counter"
_WINDOWS = ("fixed-window", _SLIDING, "moving-window")


class WindowLimiter:
    """A limiter that counts calls in windows, by a strategy and a storage of `limits`.

    A `TokenBucket` asks less of its engine, and has no edges at which twice the
    rate passes; this is for those who have promised a window.

    >>> from falconkit.testing import ManualClock
    >>> hourly = WindowLimiter("2/hour", arena=Arena(clock=ManualClock()))
    >>> [hourly.take("ann").allowed for _ in range(3)]
    [True, True, False]

    Attributes:
        limit: Calls in a window.
    """

    def __init__(
        self,
        rate: str,
        *,
        strategy: str = "fixed-window",
        storage: str | Storage = "arena://",
        arena: Arena | None = None,
        service: str = "",
        name: str = "",
        clock: Clock = system_clock,
        events: Events | None = None,
    ) -> None:
        """Open nothing yet: that is done at the first call, after the fork.

        Args:
            rate: As in ``30/minute``.
            strategy: ``fixed-window``, ``sliding-window-counter`` or ``moving-window``.
            storage: ``arena://``, ``memory://``, ``redis://``, or any storage of
                `limits`, whose failures are then its user's.
            arena: As for `TokenBucket`; its clock and ``clock`` must be the same.
            service: Goes before every key in Redis.
            name: What headers and events call it; the rate when empty.
            clock: Whose seconds count. `limits`' own storages have their own.
            events: Who hears that Redis is away, as for `TokenBucket`.

        Raises:
            ConfigurationError: The rate, the strategy or the storage cannot be used.
        """
        if strategy not in _WINDOWS:
            raise ConfigurationError(
                f"strategy is {strategy!r}: give one of {', '.join(_WINDOWS)}; "
                "a token bucket is a TokenBucket"
            )
        item = item_of(rate)
        self.limit = item.amount
        self._item = item
        self._strategy = strategy
        self._clock = clock
        self._name = name or repr(item)
        self._lock = threading.Lock()
        self._made: Hits | None = None
        self._fallback: Fallback | None = None
        self._filled: Callable[[str], object] | None = None
        if isinstance(storage, Storage):
            self._made = self._window(storage)
        elif (scheme := scheme_of(storage, ("arena", "memory", *REDIS))) == "arena":
            self._made = self._window(ArenaStorage(storage, arena=arena, clock=clock))
        elif scheme != "memory":
            self._use_redis(storage, service, ArenaStorage(arena=arena, clock=clock), events)

    def take(self, key: str, cost: int = 1) -> Decision:
        """Count ``cost`` calls in the window of ``key``, or refuse.

        A fixed window counts what it refuses, too, as `limits` does.

        Raises:
            ValueError: ``cost`` is negative.
        """
        if cost < 0:
            raise ValueError(f"a call cannot cost {cost}: that would give calls back")
        key = encodable(key)
        window = self._made or self._make()
        if self._fallback is None:
            decision = window.take(key, cost)
        else:
            decision = self._fallback.ask(window.take, self._local.take, key, cost)
        if self._filled is not None and decision.remaining < self.limit / 2:
            self._filled(key)
        return decision

    def peek(self, key: str) -> Decision:
        """Return what `take` would decide of one call, counting nothing."""
        key = encodable(key)
        window = self._made or self._make()
        if self._fallback is None:
            return window.peek(key)
        return self._fallback.ask(window.peek, self._local.peek, key)

    def watch(self, filled: Callable[[str], object]) -> None:
        """Call ``filled`` with each key that has less than half left: as `TokenBucket.watch`."""
        self._filled = filled

    def status(self) -> dict[str, int | bool]:
        """Return counts of its fallback, as for ``/debug/vars``."""
        return {} if self._fallback is None else self._fallback.status()

    def carry(self) -> deque[Event] | None:
        """Return the queue of events for a call's own listeners, None when there are none."""
        return None if self._fallback is None else self._fallback.carry()

    def __repr__(self) -> str:
        return f"WindowLimiter({str(self._item)!r}, strategy={self._strategy!r})"

    def _make(self) -> Hits:
        # The memory of `limits` starts a timer when it is made: not before a fork.
        with self._lock:
            if self._made is None:
                self._made = self._window(MemoryStorage())
            return self._made

    def _window(self, storage: Storage, strategy: str = "") -> Hits:
        try:
            limiter = STRATEGIES[strategy or self._strategy](storage)
        except NotImplementedError:
            raise ConfigurationError(
                f"a {type(storage).__name__} has no {self._strategy}: use {_SLIDING!r}, "
                "or a TokenBucket"
            ) from None
        return Hits(limiter, self._item, self._name, self._clock)

    def _use_redis(
        self, uri: str, service: str, local: ArenaStorage, events: Events | None
    ) -> None:
        from falconkit.ratelimit import redis

        pool = redis.connect(uri).connection_pool
        storage = RedisStorage(uri, connection_pool=pool, key_prefix=f"falconkit:{service}")
        self._made = self._window(storage)
        # The arena has no moving window; the sliding one comes nearest to it.
        moving = self._strategy == "moving-window"
        self._local = self._window(local, _SLIDING if moving else "")
        self._fallback = Fallback(
            self._name,
            probe=lambda: storage.incr("probe", 1),
            failures=redis.FAILURES,
            clock=self._clock,
            events=events,
        )
