"""Buckets in the memory of one process: for tests, and for services of one worker."""

from __future__ import annotations

import threading
from collections import OrderedDict

from falconkit.clock import Clock, system_clock

_OVERFLOW = ("", 0.0, 0)


class MemoryBuckets:
    """Token buckets by the generic cell rate algorithm, for the threads of one process.

    A cell holds one float, the theoretical arrival time: the moment at which
    its bucket is full again. A bucket that is full is no different from one
    that never was, so its cell is dropped with nothing lost.

    >>> buckets = MemoryBuckets()
    >>> buckets.take("ann", 60.0, 1)
    (True, 60.0)
    >>> buckets.take("ann", 60.0, 1)[0]
    False
    """

    def __init__(self, *, clock: Clock = system_clock, max_keys: int = 65_536) -> None:
        """Hold at most ``max_keys`` cells; callers beyond them share one, which is counted."""
        self._clock = clock
        self._max_keys = max_keys
        self._lock = threading.Lock()
        self._full_at: OrderedDict[tuple[str, float, int], float] = OrderedDict()
        self._overflowed = 0

    def take(self, key: str, interval: float, burst: int, cost: int = 1) -> tuple[bool, float]:
        """Take ``cost`` tokens, or nothing.

        Args:
            key: Whose bucket.
            interval: Seconds until one token comes back.
            burst: Tokens that the bucket holds.
            cost: Tokens to take.

        Returns:
            Whether they were there, and the seconds until the bucket is full.
        """
        cell = (key, interval, burst)
        with self._lock:
            now = self._clock.monotonic()
            full_at = self._full_at.get(cell)
            if full_at is None:
                cell = self._admit(cell, now)
                full_at = self._full_at.get(cell, now)
            level = full_at - now if full_at > now else 0.0
            after = level + cost * interval
            # A millionth of a token: what rounding may take from the last one.
            if after > (burst + 1e-6) * interval:
                return False, level
            if after > 0.0:
                self._full_at[cell] = now + after
            return True, after

    def peek(self, key: str, interval: float, burst: int) -> float:
        """Return the seconds until the bucket is full, taking nothing."""
        with self._lock:
            full_at = self._full_at.get((key, interval, burst), 0.0)
            return max(0.0, full_at - self._clock.monotonic())

    def clear(self, key: str, interval: float, burst: int) -> None:
        """Fill the bucket."""
        with self._lock:
            self._full_at.pop((key, interval, burst), None)

    def reset(self) -> int:
        """Fill every bucket; returns how many were not known to be full."""
        with self._lock:
            count = len(self._full_at)
            self._full_at.clear()
            return count

    def status(self) -> dict[str, int]:
        """Return how many cells are held, and how many calls went to the shared one."""
        return {"keys": len(self._full_at), "overflowed": self._overflowed}

    def _admit(self, cell: tuple[str, float, int], now: float) -> tuple[str, float, int]:
        # Each new cell looks at the two oldest, so the past goes at least as
        # fast as callers can make it, and nobody waits for a sweep of all.
        cells = self._full_at
        for _ in range(min(2, len(cells))):
            oldest, full_at = next(iter(cells.items()))
            if full_at <= now:
                del cells[oldest]
            else:
                cells.move_to_end(oldest)
        if len(cells) < self._max_keys:
            return cell
        self._overflowed += 1
        return (_OVERFLOW[0], cell[1], cell[2])
