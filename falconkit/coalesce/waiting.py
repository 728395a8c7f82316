"""The bounds on waiting for somebody else's call."""

from __future__ import annotations

from collections.abc import Callable
from threading import BoundedSemaphore, Event

from falconkit.clock import Clock
from falconkit.errors import ConfigurationError, DeadlineExceeded, Overloaded

WaitFor = Callable[[Event, float], bool]
"""Waits for an event for so many seconds; tells whether it came."""


class Waiting:
    """So many at a time, each for so long."""

    def __init__(
        self,
        max_wait: float,
        max_waiters: int,
        retry_after: float,
        clock: Clock,
        rng: Callable[[float, float], float],
        wait: WaitFor,
    ) -> None:
        for name, seconds in (("max_wait", max_wait), ("retry_after", retry_after)):
            if not 0 < seconds < float("inf"):
                raise ConfigurationError(f"{name} is {seconds!r}: give seconds, more than 0")
        if isinstance(max_waiters, bool) or not isinstance(max_waiters, int) or max_waiters < 1:
            raise ConfigurationError(
                f"max_waiters is {max_waiters!r}: give a whole number, 1 or more"
            )
        self._max_wait = max_wait
        self._retry_after = retry_after
        self._now = clock.monotonic
        self._rng = rng
        self._wait = wait
        self._room = BoundedSemaphore(max_waiters)

    def end(self) -> float:
        """Return when a call that begins to wait now has to stop."""
        return self._now() + self._max_wait

    def wait(self, landed: Event, end: float, deadline: float | None) -> None:
        """Wait until ``landed`` is set.

        Raises:
            DeadlineExceeded: The deadline came first.
            Overloaded: ``end`` came first, or too many wait already.
        """
        if not self._room.acquire(blocking=False):
            raise self._refusal()
        try:
            by = end if deadline is None else min(end, deadline)
            left = by - self._now()
            if left > 0 and self._wait(landed, left):
                return
        finally:
            self._room.release()
        if landed.is_set():
            return
        raise self._refusal() if by == end else DeadlineExceeded()

    def _refusal(self) -> Overloaded:
        return Overloaded(retry_after=self._retry_after * self._rng(0.5, 1.5))
