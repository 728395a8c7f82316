"""A token bucket: so many calls at once, refilled at a steady rate."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import floor, inf

from falconkit.arena import Arena
from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError
from falconkit.events import Event, Events
from falconkit.ratelimit.decision import Decision
from falconkit.ratelimit.keys import LONGEST, bounded, encodable
from falconkit.ratelimit.rate import Rate, RateSettings
from falconkit.ratelimit.storage import Store, open_store


class TokenBucket:
    """A limiter whose caller may save up calls while it rests, ``burst`` of them at most.

    >>> bucket = TokenBucket("2 per minute", storage="memory://")
    >>> bucket.take("ann").remaining
    1
    >>> bucket.take("ann").allowed, bucket.take("ann").allowed
    (True, False)
    >>> round(bucket.take("ann").retry_after)
    30

    Attributes:
        rate: What it keeps.
        limit: Calls that can come at once after a rest.
    """

    def __init__(
        self,
        rate: str | Rate,
        *,
        burst: int | None = None,
        storage: str | Store = "arena://",
        arena: Arena | None = None,
        service: str = "",
        name: str = "",
        clock: Clock = system_clock,
        events: Events | None = None,
    ) -> None:
        """Open nothing yet: that is done at the first call, after the fork.

        Args:
            rate: As in ``30/minute``, ``1 per 2 second``, ``50/second``.
            burst: Calls that may come at once; those of a whole period when None.
            storage: ``arena://`` (all workers of this host), ``memory://`` (this
                process), ``redis://host:port/db`` (everybody who shares it), or a store.
            arena: The arena of ``arena://``, and of the time that Redis is away;
                the process' default one when None. Its own clock counts.
            service: Goes before every key in Redis, where services meet.
            name: What headers and events call it; the rate when empty.
            clock: Whose seconds count in ``memory://``, and between looks for Redis.
            events: Who hears that Redis is away. When None, the listeners of
                the calls that `limit` wraps.

        Raises:
            ConfigurationError: The rate or the storage cannot be used.
        """
        if not isinstance(rate, Rate):
            rate = Rate.parse(rate, burst=burst)
        elif burst is not None:
            raise ConfigurationError(
                f"burst is {burst!r} beside a Rate, which has its own: give it to Rate.parse"
            )
        self.rate = rate
        self.limit = rate.burst
        self._name = name or rate.text
        self._interval = rate.interval
        self._capacity = rate.burst * rate.interval
        self._store: Store = (
            open_store(
                storage,
                arena=arena,
                service=service,
                limiter=self._name,
                clock=clock,
                events=events,
            )
            if isinstance(storage, str)
            else storage
        )
        self._take = self._store.take
        self._filled: Callable[[str], object] = str
        self._half = inf

    @classmethod
    def from_settings(
        cls,
        settings: RateSettings,
        *,
        arena: Arena | None = None,
        clock: Clock = system_clock,
        events: Events | None = None,
    ) -> TokenBucket:
        """Make the bucket that the environment asks for.

        Raises:
            ConfigurationError: It names the variable that cannot be used.
        """
        rate = Rate.parse(
            settings.rate_limit,
            burst=settings.rate_burst,
            variable="RATE_LIMIT",
            burst_variable="RATE_BURST",
        )
        store = open_store(
            settings.rate_storage,
            arena=arena,
            service=settings.service_name,
            limiter=rate.text,
            clock=clock,
            events=events,
            variable="RATE_STORAGE",
        )
        return cls(rate, storage=store)

    def take(self, key: str, cost: int = 1) -> Decision:
        """Take ``cost`` calls from what ``key`` has left, or take nothing and refuse.

        Raises:
            ValueError: ``cost`` is negative.
        """
        if cost < 0:
            raise ValueError(f"a call cannot cost {cost}: that would give calls back")
        interval = self._interval
        allowed, level = self._take(
            key if len(key) <= LONGEST else bounded(key), interval, self.limit, cost
        )
        if level > self._half:
            self._filled(encodable(key))
        if not allowed:
            if cost > self.limit:  # which a store need not look at
                return self.peek(key, cost)
            return self._decision(False, level, cost)
        # PERF: 0.2 us less than by way of `_decision`, which see for the arithmetic; and a
        # float's floor() is 0.05 us quicker than int(), everywhere on the way of a request.
        capacity = self._capacity
        remaining = floor((capacity - level) / interval + 1e-6)
        return Decision(True, self.limit, remaining, 0.0, level, self._name, capacity)

    def peek(self, key: str, cost: int = 1) -> Decision:
        """Return what `take` would decide, taking nothing."""
        level = self._store.peek(bounded(key), self._interval, self.limit)
        allowed = level + cost * self._interval <= self._capacity + 1e-6 * self._interval
        return self._decision(allowed, level, cost)

    def watch(self, filled: Callable[[str], object]) -> None:
        """Call ``filled`` with a key at each call of it that leaves less than half of its burst.

        For who shows the fullest keys: a store knows of a key no more than a digest. It is
        called on the way of a request, so it has to be quick, and must not raise.
        """
        # PERF: a bucket that nobody watches pays 0.02 us.
        self._filled, self._half = filled, self._capacity / 2

    def clear(self, key: str) -> None:
        """Forget what ``key`` has taken."""
        self._store.clear(bounded(key), self._interval, self.limit)

    def status(self) -> dict[str, int | bool]:
        """Return counts of what its store did, as for ``/debug/vars``."""
        status = getattr(self._store, "status", None)
        return dict(status()) if status is not None else {}

    def carry(self) -> deque[Event] | None:
        """Return the queue of events for a call's own listeners, None when there are none."""
        carry = getattr(self._store, "carry", None)
        return None if carry is None else carry()

    def __repr__(self) -> str:
        return f"TokenBucket({str(self.rate)!r})"

    def _decision(self, allowed: bool, level: float, cost: int) -> Decision:
        interval = self._interval
        # A millionth of a token, lest rounding hide the last one.
        remaining = int((self._capacity - level) / interval + 1e-6)
        retry: float | None = 0.0
        if not allowed:
            wait = level + cost * interval - self._capacity
            retry = None if cost > self.limit else max(wait, 1e-9)
        return Decision(
            allowed,
            self.limit,
            remaining if remaining > 0 else 0,
            retry,
            level,
            self._name,
            self._capacity,
        )
