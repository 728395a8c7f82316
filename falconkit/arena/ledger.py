"""The long way to a token: with digests, new cells, damage, and locks that cannot be had."""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import inf

from falconkit.arena.cellfile import Segment
from falconkit.arena.cells import Cells
from falconkit.arena.guesses import Guesses, Which, believable, room
from falconkit.arena.lock import Lock

_POLICY = struct.Struct("<dq")

Spot = tuple[Segment, int]
Found = Callable[[Which, Cells, Lock, bytes, Spot], None]
Decision = tuple[bool, float]


class Ledger:
    """The buckets of one table, as this process has them open.

    Attributes:
        cells: The table.
        guesses: What this process let through by itself.
    """

    def __init__(self, cells: Cells, found: Found, degraded: Callable[[str, str], None]) -> None:
        """Tell ``found`` where a key's cell is, and ``degraded`` what went less well."""
        self.cells = cells
        self.guesses = Guesses()
        self._found = found
        self._degraded = degraded

    def take(self, which: Which, cost: int) -> Decision:
        """Do what `Buckets.take` says."""
        key, interval, burst = which
        if not (0.0 < interval < inf and 1 <= burst < 1 << 63 and cost >= 0):
            raise ValueError(
                f"interval={interval!r}, burst={burst!r}, cost={cost!r}: the interval must be "
                "seconds above 0, the burst at least 1, and the cost not negative"
            )
        if cost > burst:
            return False, inf
        cells = self.cells
        digest = self._digest(which)
        lock = cells.lock_of(digest)
        while lock.acquire():
            try:
                spot = cells.claim(digest, cells.now())
                if spot is not None:
                    self._found(which, cells, lock, digest, spot)
                    decided = self._decide(which, spot, cost)
            finally:
                lock.release()
            if spot is not None:
                return self._said(key, *decided)
            if not cells.grow():
                return self._overflow(which, cost)
        return self.guess(which, cells.find(digest), cost)

    def level(self, which: Which) -> float:
        """Return the seconds until the bucket is full, by what is seen without its lock."""
        spot = self.cells.find(self._digest(which))
        if spot is None:
            return 0.0
        level = spot[0].floats[spot[0].at(spot[1])] - self.cells.now()
        return level if level > 0.0 and believable(level, which[1], which[2]) else 0.0

    def fill(self, which: Which) -> bool:
        """Fill the bucket; returns False when its lock could not be had."""
        self.guesses.forgive(which)
        if self.cells.clear(self._digest(which)):
            return True
        self._degraded("contended", f"the bucket of {which[0][:80]!r} was not cleared")
        return False

    def guess(self, which: Which, spot: Spot | None, cost: int) -> Decision:
        """Decide without the lock; what is owed is paid the next time that it can be had."""
        key, interval, burst = which
        now = self.cells.now()
        tat = 0.0 if spot is None else spot[0].floats[spot[0].at(spot[1])]
        if not believable(tat - now, interval, burst):
            tat = 0.0
        decided = self.guesses.guess(which, tat, now, cost)
        self._degraded("contended", f"the bucket of {key[:80]!r} was decided without its lock")
        return decided

    def _digest(self, which: Which) -> bytes:
        key, interval, burst = which
        return self.cells.digest(
            _POLICY.pack(interval, burst) + key.encode("utf-8", "surrogatepass")
        )

    def _decide(self, which: Which, spot: Spot, cost: int) -> tuple[bool, float, float | None]:
        """Decide with the lock held; also returns the time that cannot be, if there was one."""
        _, interval, burst = which
        floats, at = spot[0].floats, spot[0].at(spot[1])
        now = self.cells.now()
        damage = None
        tat = floats[at]
        if not believable(tat - now, interval, burst):
            damage, tat = tat, 0.0
        tat = floats[at] = self.guesses.pay(which, max(tat, now), now)
        after = tat - now + cost * interval
        if after > room(interval, burst):
            return False, tat - now, damage
        floats[at] = tat + cost * interval
        return True, after, damage

    def _said(self, key: str, allowed: bool, level: float, damage: float | None) -> Decision:
        # Not under the lock: who listens may be slow.
        if damage is not None:
            self._degraded("damaged", f"the bucket of {key[:80]!r} was full at {damage!r}")
        return allowed, level

    def _overflow(self, which: Which, cost: int) -> Decision:
        """Decide by the cell that all keys of this rate share when the table is full."""
        key, interval, burst = which
        self._degraded("full", f"no cell for {key[:80]!r}: it shares one with others")
        cells = self.cells
        digest = cells.digest(b"overflow" + _POLICY.pack(interval, burst))
        lock = cells.lock_of(digest)
        if not lock.acquire():
            return self.guess(which, None, cost)
        try:
            decided = self._decide(which, cells.overflow(digest, cells.now()), cost)
        finally:
            lock.release()
        return self._said(key, *decided)
