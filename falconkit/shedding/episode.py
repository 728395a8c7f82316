"""When refusing began, and when it is over."""

from __future__ import annotations

from threading import Lock

QUIET = 5.0
"""Seconds without a refusal after which an episode is over."""


class Episode:
    """Refusals that follow one another, so that people are told twice and not at each call.

    >>> episode = Episode()
    >>> episode.refused(10.0), episode.refused(11.0)
    (True, False)
    >>> episode.ended(12.0), episode.ended(20.0), episode.ended(21.0)
    (None, (2, 1.0), None)

    Attributes:
        running: Whether one has begun and not ended.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.running = False
        self._since = 0.0
        self._last = 0.0
        self._count = 0

    def refused(self, now: float) -> bool:
        """Count a refusal; tells whether it is the first."""
        with self._lock:
            self._last = now
            self._count += 1
            if self.running:
                return False
            self.running, self._since, self._count = True, now, 1
            return True

    def ended(self, now: float) -> tuple[int, float] | None:
        """Return refusals and seconds of an episode that is over, once."""
        with self._lock:
            if not self.running or now - self._last < QUIET:
                return None
            self.running = False
            return self._count, self._last - self._since
