"""Token buckets: the generic cell rate algorithm (GCRA), one float a key.

The float is the theoretical arrival time (TAT): when the bucket will be full
again. It counts in seconds of CLOCK_MONOTONIC since the arena's epoch, so an
idle key's TAT is past, its cell is free, and nothing is lost with it. The
algorithm is the virtual scheduling of ITU-T I.371.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from math import inf
from typing import TypeAlias

from falconkit.arena.cellfile import Segment
from falconkit.arena.cells import Cells
from falconkit.arena.guesses import Guesses, Which, believable, room
from falconkit.arena.lock import SPINS, Lock
from falconkit.clock import Clock

_POLICY = struct.Struct("<dq")
_WORDS = struct.Struct("=QQ")
# PERF: dropping so many at once takes 0.4 ms; each saves its key some 8 us a call.
_HOT = 4096

_Spot: TypeAlias = tuple[Segment, int]
_Entry: TypeAlias = tuple[
    Lock,
    Iterator[int],
    Callable[[], object],
    "memoryview[int]",
    int,
    int,
    int,
    "memoryview[float]",
    int,
    float,
    float,
]


class Buckets:
    """Buckets by key, exact across the processes that share the arena.

    >>> from falconkit.arena import Arena
    >>> from falconkit.testing import ManualClock
    >>> clock = ManualClock()
    >>> buckets = Arena(clock=clock, directory=None).buckets()
    >>> [buckets.take("ann", 0.5, 2) for _ in range(3)]
    [(True, 0.5), (True, 1.0), (False, 1.0)]
    >>> clock.advance(0.5)
    >>> buckets.take("ann", 0.5, 2)
    (True, 1.0)
    """

    __slots__ = ("_cells", "_clock", "_degraded", "_guesses", "_hot", "_open")

    def __init__(
        self,
        open_cells: Callable[[], Cells],
        *,
        clock: Clock,
        degraded: Callable[[str, str], None],
    ) -> None:
        self._open = open_cells
        self._clock = clock
        self._degraded = degraded
        self.forget()

    def forget(self) -> None:
        """Open anew on the next use: after a fork, or when the arena was closed."""
        self._cells: Cells | None = None
        self._hot: dict[Which, _Entry] = {}
        self._guesses = Guesses()

    def settle(self) -> None:
        """Pay what is owed to shared buckets; before the process ends."""
        for key, interval, burst in self._guesses.owed():
            self._settle(key, interval, burst, 0)

    def take(self, key: str, interval: float, burst: int, cost: int = 1) -> tuple[bool, float]:
        """Take ``cost`` tokens, or none when there are not so many.

        When another process keeps the lock for more than 5 ms (it is stopped,
        say), the decision is made from what can be seen, and paid back to the
        shared bucket as soon as the lock can be had again.

        Args:
            key: Whose bucket: any string. Another interval or burst is another bucket.
            interval: Seconds a token.
            burst: Tokens that a full bucket holds.
            cost: Tokens to take.

        Returns:
            Whether they were taken, and the seconds until the bucket is full after
            that: ``inf`` for a cost above the burst, which no wait makes possible.

        Raises:
            ValueError: An argument that cannot be.
        """
        entry = self._hot.get((key, interval, burst))
        if entry is None or not 0 <= cost <= burst:
            return self._settle(key, interval, burst, cost)
        # PERF: 1.9 us, of which the two flock calls are 1.2 us. Between the head of
        # the loop and the unlocking nothing is called, so the GIL stays: see lock.py.
        lock, tries, unlock, words, word, low, high, floats, at, most, epoch = entry
        need = cost * interval
        now = self._clock.monotonic() - epoch
        spins = 0
        for failed in tries:
            if failed:
                lock.mend(failed)
                spins += 1
                if spins < SPINS:
                    continue
                break
            if lock.shut:
                break
            tat = floats[at]
            level = tat - now
            # A stranger's cell, or damage; or `now` is old, since we lost the GIL
            # after reading it: looked at again with the lock held and a fresh `now`.
            if words[word] != low or words[word + 1] != high or not level <= most:
                unlock()
                break
            if level > 0.0:
                after = level + need
                if after > most:
                    unlock()
                    return False, level
                floats[at] = tat + need
            else:
                after = need
                floats[at] = now + need
            unlock()
            return True, after
        return self._settle(key, interval, burst, cost)

    def peek(self, key: str, interval: float, burst: int) -> float:
        """Return the seconds until the bucket of ``key`` is full, taking nothing."""
        cells = self._opened()
        spot = cells.find(cells.digest(_name(key, interval, burst)))
        if spot is None:
            return 0.0
        level = spot[0].floats[spot[0].at(spot[1])] - cells.now()
        return level if level > 0.0 and believable(level, interval, burst) else 0.0

    def clear(self, key: str, interval: float, burst: int) -> bool:
        """Fill the bucket of ``key``; returns False when its lock could not be had."""
        cells = self._opened()
        self._guesses.forgive((key, interval, burst))
        digest = cells.digest(_name(key, interval, burst))
        lock = cells.lock_of(digest)
        if not lock.acquire():
            self._degraded("contended", f"the bucket of {key[:80]!r} was not cleared")
            return False
        try:
            spot = cells.find(digest)
            if spot is not None:
                spot[0].floats[spot[0].at(spot[1])] = 0.0
        finally:
            lock.release()
        return True

    def reset(self) -> bool:
        """Fill every bucket; returns False when a lock could not be had."""
        self._guesses.forgive(None)
        return self._opened().wipe()

    def _opened(self) -> Cells:
        cells = self._cells
        if cells is None:
            cells = self._cells = self._open()
        return cells

    def _settle(self, key: str, interval: float, burst: int, cost: int) -> tuple[bool, float]:
        """Take in the long way: with the key's digest, making its cell if need be."""
        if not (0.0 < interval < inf and 1 <= burst < 1 << 63 and cost >= 0):
            raise ValueError(
                f"interval={interval!r}, burst={burst!r}, cost={cost!r}: the interval must be "
                "seconds above 0, the burst at least 1, and the cost not negative"
            )
        if cost > burst:
            return False, inf
        cells = self._opened()
        digest = cells.digest(_name(key, interval, burst))
        which = (key, interval, burst)
        lock = cells.lock_of(digest)
        while lock.acquire():
            try:
                spot = cells.claim(digest, cells.now())
                if spot is not None:
                    self._remember(which, cells, lock, digest, spot)
                    allowed, level, damage = self._decide(which, spot, cells, cost)
            finally:
                lock.release()
            if spot is not None:
                return self._said(which, allowed, level, damage)
            if not cells.grow():
                return self._overflow(which, cells, cost)
        return self._guess(which, cells, cells.find(digest), cost)

    def _remember(self, which: Which, cells: Cells, lock: Lock, digest: bytes, spot: _Spot) -> None:
        segment, cell = spot
        hot = self._hot
        if len(hot) >= _HOT:
            hot.clear()
        low, high = _WORDS.unpack(digest)
        hot[which] = (
            *(lock, lock.tries, lock.unlock),
            *(segment.words, segment.word(cell), low, high),
            *(segment.floats, segment.at(cell), room(which[1], which[2]), cells.epoch),
        )

    def _decide(
        self, which: Which, spot: _Spot, cells: Cells, cost: int
    ) -> tuple[bool, float, float | None]:
        """Decide with the lock held; also returns the time that cannot be, if there was one."""
        _, interval, burst = which
        floats, at = spot[0].floats, spot[0].at(spot[1])
        now = cells.now()
        damage = None
        tat = floats[at]
        if not believable(tat - now, interval, burst):
            damage, tat = tat, 0.0
        tat = floats[at] = self._guesses.pay(which, max(tat, now), now)
        after = tat - now + cost * interval
        if after > room(interval, burst):
            return False, tat - now, damage
        floats[at] = tat + cost * interval
        return True, after, damage

    def _said(
        self, which: Which, allowed: bool, level: float, damage: float | None
    ) -> tuple[bool, float]:
        # Not under the lock: who listens may be slow.
        if damage is not None:
            self._degraded("damaged", f"the bucket of {which[0][:80]!r} was full at {damage!r}")
        return allowed, level

    def _overflow(self, which: Which, cells: Cells, cost: int) -> tuple[bool, float]:
        """Decide by the cell that all keys of this rate share when the table is full."""
        key, interval, burst = which
        self._degraded("full", f"no cell for {key[:80]!r}: it shares one with others")
        digest = cells.digest(b"overflow" + _POLICY.pack(interval, burst))
        lock = cells.lock_of(digest)
        if not lock.acquire():
            return self._guess(which, cells, None, cost)
        try:
            spot = cells.overflow(digest, cells.now())
            decided = self._decide(which, spot, cells, cost)
        finally:
            lock.release()
        return self._said(which, *decided)

    def _guess(
        self, which: Which, cells: Cells, spot: _Spot | None, cost: int
    ) -> tuple[bool, float]:
        """Decide without the lock; what is owed is paid the next time that it can be had."""
        key, interval, burst = which
        now = cells.now()
        tat = 0.0 if spot is None else spot[0].floats[spot[0].at(spot[1])]
        if not believable(tat - now, interval, burst):
            tat = 0.0
        decided = self._guesses.guess(which, tat, now, cost)
        self._hot.pop(which, None)  # what is owed is paid in the long way
        self._degraded("contended", f"the bucket of {key[:80]!r} was decided without its lock")
        return decided


def _name(key: str, interval: float, burst: int) -> bytes:
    return _POLICY.pack(interval, burst) + key.encode("utf-8", "surrogatepass")
