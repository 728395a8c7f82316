"""Calls in flight under a bound that moves."""

from __future__ import annotations

from threading import Lock

from falconkit.clock import Clock, system_clock
from falconkit.errors import (
    ConfigurationError,
    DeadlineExceeded,
    Overloaded,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from falconkit.shedding.gradient import Gradient2
from falconkit.shedding.policy import Policy, Window

_LATE = (DeadlineExceeded, UpstreamTimeout, TimeoutError)
_FULL = (Overloaded, UpstreamUnavailable)
_TOO_SHORT = 0.000_1


class AdaptiveLimit:
    """A bound on the calls in flight in this process, which finds itself from their latency.

    Once a window it looks at what calls took and moves, as its policy says.
    A call that ends well, or too late, tells how long it took; one that a
    service behind us had no room for tells that it was dropped; any other error
    tells nothing, for it may have come at once. Calls under 0.1 ms say nothing
    either, as in Netflix's ``WindowedLimit``. A window of which too few calls tell
    something goes on until there are enough.

    >>> limit = AdaptiveLimit(Gradient2(initial=2))
    >>> limit.enter(), limit.enter(), limit.enter()
    (True, True, False)
    >>> limit.leave(started=10.0, ended=10.2)
    >>> limit.status()
    {'limit': 2, 'in_flight': 1, 'refused': 1}
    """

    def __init__(
        self,
        policy: Policy | None = None,
        *,
        window: float = 1.0,
        least_calls: int = 10,
        clock: Clock = system_clock,
    ) -> None:
        """Start at the policy's first bound.

        Args:
            policy: What moves the bound; a `Gradient2` when None.
            window: Seconds between two looks.
            least_calls: Calls that a window must have seen, however long it takes.
            clock: Whose seconds these are.

        Raises:
            ConfigurationError: One of the numbers cannot be used, or the policy is none.
        """
        if not 0 < window < float("inf"):
            raise ConfigurationError(f"window is {window!r}: give seconds, more than 0")
        if not least_calls >= 1:
            raise ConfigurationError(f"least_calls is {least_calls!r}: give 1 or more")
        self.policy: Policy = Gradient2() if policy is None else policy
        if not callable(getattr(self.policy, "after", None)):
            raise ConfigurationError(
                f"{policy!r} moves no bound: give a Gradient2() or an AIMD(timeout=...)"
            )
        self.clock = clock
        self._state = self.policy.first()
        self._limit = self._state.limit
        self._period = window
        self._least_calls = least_calls
        self._lock = Lock()
        self._in_flight = 0
        self._refused = 0
        self._most = self._refused_now = 0
        self._calls = self._dropped = 0
        self._seconds = 0.0
        self._ends = clock.monotonic() + window

    @property
    def limit(self) -> int:
        """The bound as it stands."""
        return int(self._limit)

    @property
    def in_flight(self) -> int:
        """Calls in flight."""
        return self._in_flight

    def enter(self, share: float = 1.0) -> bool:
        """Let a call in, if it finds less than ``share`` of the bound in flight, or nothing."""
        # PERF: shed() adds 0.85 us, a third of it the lock, twice a call. Without
        # one, threads that look at the same moment would go over the bound.
        with self._lock:
            flying = self._in_flight + 1
            if flying > self._limit * share and flying > 1:
                self._refused += 1
                self._refused_now += 1
                return False
            self._in_flight = flying
            if flying > self._most:
                self._most = flying
            return True

    def leave(self, started: float, ended: float, error: BaseException | None = None) -> None:
        """Count a call that has ended; the times are seconds of the monotonic clock."""
        with self._lock:
            self._in_flight -= 1
            if error is None or isinstance(error, _LATE):
                if ended - started >= _TOO_SHORT:
                    self._calls += 1
                    self._seconds += ended - started
                if error is not None:
                    self._dropped += 1
            elif isinstance(error, _FULL):
                self._dropped += 1
            if ended >= self._ends and self._calls + self._dropped >= self._least_calls:
                self._move(ended)

    def status(self) -> dict[str, int]:
        """Return the bound, calls in flight, and how many were refused so far."""
        return {"limit": self.limit, "in_flight": self._in_flight, "refused": self._refused}

    def __repr__(self) -> str:
        return f"AdaptiveLimit({self.policy!r})"

    def _move(self, now: float) -> None:
        wall = self.clock.time()
        seconds = self._seconds / self._calls if self._calls else 0.0
        window = Window(seconds, self._most, self._dropped, self._refused_now, wall)
        self._state = self.policy.after(self._state, window)
        self._limit = self._state.limit
        # By the wall clock, so that the windows of all processes end together.
        self._ends = now + self._period - wall % self._period
        self._most = self._in_flight
        self._calls = self._dropped = self._refused_now = 0
        self._seconds = 0.0
