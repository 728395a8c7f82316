"""Decisions made without the shared bucket's lock, and what they owe it."""

from __future__ import annotations

import threading

Which = tuple[str, float, int]
"""A bucket: key, interval (seconds a token) and burst."""

# Any key can be guessed for while a neighbour is stopped; those are the most recent ones.
_MOST = 4096


def room(interval: float, burst: int) -> float:
    """Return the seconds that a bucket may be away from full, with what rounding may take.

    A float's last digit at 12 days of uptime for each token of the burst, and a
    millionth of a token.
    """
    return burst * (interval + 1e-10) + 1e-6 * interval


def believable(level: float, interval: float, burst: int) -> bool:
    """Return whether a bucket can be so many seconds away from being full.

    What was guessed is paid even into an empty bucket, but no more than a burst;
    anything above that is damage.

    >>> believable(2.0, 1.0, 2), believable(4.0, 1.0, 2), believable(4.1, 1.0, 2)
    (True, True, False)
    """
    return level <= 2.0 * room(interval, burst)


class Guesses:
    """What this process has let through by itself, until it is paid to the shared bucket."""

    __slots__ = ("_lock", "_owed")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owed: dict[Which, tuple[float, float]] = {}

    def guess(self, which: Which, tat: float, now: float, cost: int) -> tuple[bool, float]:
        """Decide as `Buckets.take` does, by what the shared bucket seems to hold.

        Args:
            which: The bucket.
            tat: When the shared bucket will be full; it may change meanwhile.
            now: Seconds since the arena's epoch.
            cost: Tokens to take.
        """
        _, interval, burst = which
        need = cost * interval
        with self._lock:
            since, owed = self._owed.get(which, (now, 0.0))
            level = max(tat, since) + owed - now
            if level <= 0.0:
                since, owed, level = now, 0.0, 0.0
            if level + need > room(interval, burst):
                return False, level
            if len(self._owed) >= _MOST:
                del self._owed[next(iter(self._owed))]
            self._owed[which] = since, owed + need
            return True, level + need

    def pay(self, which: Which, tat: float, now: float) -> float:
        """Return when the shared bucket will be full once it got what it is owed."""
        if which not in self._owed:
            return tat
        with self._lock:
            since, owed = self._owed.pop(which, (0.0, 0.0))
        _, interval, burst = which
        return max(tat, min(max(tat, since) + owed, now + 2.0 * burst * interval))

    def __contains__(self, which: Which) -> bool:
        return which in self._owed

    def owed(self) -> list[Which]:
        """Return the buckets that are owed something."""
        with self._lock:
            return list(self._owed)

    def forgive(self, which: Which | None) -> None:
        """Forget what is owed to a bucket, to all of them when it is None."""
        with self._lock:
            if which is None:
                self._owed.clear()
            else:
                self._owed.pop(which, None)
