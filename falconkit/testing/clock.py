"""A clock that only moves when a test says so."""

from __future__ import annotations

import threading

from falconkit.errors import ConfigurationError


class ManualClock:
    """A `falconkit.clock.Clock` that stands still until it is advanced.

    ``sleep`` returns at once, having advanced the clock by what was asked, so
    code that waits takes no time in a test and the wait can be asserted.
    Threads may share it.

    Attributes:
        slept: What ``sleep`` was asked for, in order, in seconds.

    >>> clock = ManualClock(monotonic=100.0)
    >>> clock.advance(1.5)
    >>> clock.monotonic()
    101.5
    >>> clock.sleep(2.0)
    >>> clock.monotonic(), clock.slept
    (103.5, [2.0])
    """

    def __init__(self, *, monotonic: float = 1_000.0, time: float = 1_700_000_000.0) -> None:
        """Start at the given readings, in seconds; both move together."""
        self._lock = threading.Lock()
        self._monotonic = monotonic
        self._time = time
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Return the monotonic reading, in seconds."""
        return self._monotonic

    def time(self) -> float:
        """Return the wall clock's reading, in seconds since 1970."""
        return self._time

    def sleep(self, seconds: float, /) -> None:
        """Note ``seconds`` in ``slept`` and advance by them.

        Raises:
            ValueError: ``seconds`` is negative, as with ``time.sleep``.
        """
        if seconds < 0:
            raise ValueError("sleep length must be non-negative")
        with self._lock:
            self.slept.append(seconds)
            self._monotonic += seconds
            self._time += seconds

    def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass.

        Raises:
            ConfigurationError: ``seconds`` is negative: a monotonic clock never goes back.
        """
        if not seconds >= 0:
            raise ConfigurationError(f"a clock advances by 0 or more seconds, got {seconds!r}")
        with self._lock:
            self._monotonic += seconds
            self._time += seconds

    def set_time(self, time: float) -> None:
        """Set the wall clock alone, forward or back, as an operator or NTP does."""
        with self._lock:
            self._time = time
