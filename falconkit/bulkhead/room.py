"""So many places, and a bounded queue in front of them."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from threading import Event, Lock

from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError, Overloaded


class Bulkhead:
    """Lets ``limit`` calls of this process be in flight at a time.

    A call that finds no place waits for one, up to ``max_wait`` seconds and
    never past its deadline; places are handed over in the order of coming.
    Endpoints that are given the same object share its places.

    >>> pool = Bulkhead(1)
    >>> pool.enter()
    >>> pool.enter()
    Traceback (most recent call last):
    falconkit.errors.Overloaded: overloaded
    >>> pool.leave()
    >>> pool.status()
    {'limit': 1, 'in_flight': 0, 'waiting': 0, 'refused': 1}
    """

    def __init__(
        self,
        limit: int,
        *,
        max_wait: float = 0.0,
        max_waiters: int = 2,
        retry_after: float = 1.0,
        clock: Clock = system_clock,
        rng: Callable[[float, float], float] = random.uniform,
        wait: Callable[[Event, float], bool] = Event.wait,
    ) -> None:
        """Have ``limit`` places, all free.

        Args:
            limit: Places. A process has no more calls in flight than it has threads,
                so a bound that is not under their number never refuses.
            max_wait: Seconds that a call waits for a place; 0 refuses at once.
            max_waiters: Calls that may wait at a time: each holds one of the
                server's threads. Half of them at most leaves the rest to others.
            retry_after: Seconds that the refused are told to stay away, give or take
                a half by chance, so that they do not all come back at one moment.
            clock: Whose seconds these are.
            rng: ``(low, high) -> number``, the chance in ``retry_after``.
            wait: How to wait for an event for so many seconds; a test may put its own.

        Raises:
            ConfigurationError: One of the numbers cannot be used.
        """
        _whole("limit", limit)
        _whole("max_waiters", max_waiters)
        if not 0 <= max_wait < float("inf"):
            raise ConfigurationError(f"max_wait is {max_wait!r}: give seconds, 0 or more")
        if not 0 < retry_after < float("inf"):
            raise ConfigurationError(f"retry_after is {retry_after!r}: give seconds, more than 0")
        self.limit = limit
        self._max_wait = max_wait
        self._max_waiters = max_waiters
        self._retry_after = retry_after
        self._now = clock.monotonic
        self._rng = rng
        self._wait_for = wait
        self._free: deque[None] = deque([None] * limit)
        self._queue: deque[Event] = deque()
        self._lock = Lock()
        self._refused = 0

    def enter(self, deadline: float | None = None) -> None:
        """Take a place, which `leave` gives back.

        Args:
            deadline: When to stop waiting at the latest: seconds of the monotonic clock.

        Raises:
            Overloaded: There is none, nor will there be in time.
        """
        # PERF: popping from a deque is atomic, so a call that finds a place takes no
        # lock: the middleware adds 0.15 us; with a lock around a count it adds 0.45.
        if not self._queue:  # who waits already has the next place
            try:
                self._free.pop()
            except IndexError:
                pass
            else:
                return
        self._wait(deadline)

    def leave(self) -> None:
        """Give a place back."""
        # In this order: who joins the queue after we looked finds the place free.
        self._free.append(None)
        if self._queue:
            with self._lock:
                self._hand_over()

    def status(self) -> dict[str, int]:
        """Return places, calls in flight, calls that wait, and how many were refused so far."""
        return {
            "limit": self.limit,
            "in_flight": self.limit - len(self._free),
            "waiting": len(self._queue),
            "refused": self._refused,
        }

    def __repr__(self) -> str:
        return f"Bulkhead({self.limit}, max_wait={self._max_wait:g})"

    def _wait(self, deadline: float | None) -> None:
        seconds = self._max_wait
        if deadline is not None and seconds:
            seconds = min(seconds, deadline - self._now())
        turn = Event()
        if not self._queue_up(turn, seconds):
            raise self._refusal()
        if turn.is_set():
            return
        try:
            self._wait_for(turn, seconds)
        except BaseException:
            if not self._withdraw(turn):
                self.leave()
            raise
        if self._withdraw(turn):
            raise self._refusal()

    def _queue_up(self, turn: Event, seconds: float) -> bool:
        """Join the queue, and tell whether the place is there or may be waited for."""
        with self._lock:
            self._queue.append(turn)
            self._hand_over()
            if turn.is_set() or (seconds > 0 and len(self._queue) <= self._max_waiters):
                return True
            self._queue.remove(turn)
            return False

    def _hand_over(self) -> None:
        while self._queue:
            try:
                self._free.pop()
            except IndexError:
                return
            self._queue.popleft().set()

    def _withdraw(self, turn: Event) -> bool:
        """Stop waiting; tells False when the place has been handed over all the same."""
        with self._lock:
            if turn.is_set():
                return False
            self._queue.remove(turn)
            return True

    def _refusal(self) -> Overloaded:
        with self._lock:
            self._refused += 1
        return Overloaded(retry_after=self._retry_after * self._rng(0.5, 1.5))


def share(limit: int, workers: int) -> int:
    """Return what one of ``workers`` processes may have of a bound that holds for all of them.

    Rounded down: together they never have more than ``limit``.

    >>> share(8, workers=2), share(9, workers=2)
    (4, 4)

    Raises:
        ConfigurationError: There are more workers than places.
    """
    _whole("limit", limit)
    _whole("workers", workers)
    if workers > limit:
        raise ConfigurationError(
            f"{limit} places for {workers} workers: each needs one; have fewer workers, "
            "or a bound of its own for each (bulkhead(1))"
        )
    return limit // workers


def _whole(name: str, value: object) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ConfigurationError(f"{name} is {value!r}: give a whole number, 1 or more")
