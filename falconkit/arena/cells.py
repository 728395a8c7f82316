"""Cells of floats, found by key: open addressing over segments that are never rehashed.

A segment is cut into shards, each with its lock, and a shard into groups of
64 cells. A key has one group in each segment. When its groups are full of live
cells a segment is added, so that no pause is longer than the making of one file.
A cell is free when its first float, a time, is past: nothing is ever deleted.

Where a key lies is looked up without a lock and checked under it. A digest is
written before its cell is live, so who finds one half written finds a stranger.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading

from falconkit.arena.cellfile import HEADER, SHARDS, Segment
from falconkit.arena.lock import Lock
from falconkit.arena.place import Place
from falconkit.clock import Clock

_GROUP = 64
_OVERFLOW_GROUP = 16
# PERF: a segment of 65,536 cells is reserved in 1.1 ms, one of twice as many in up to 6; a
# decision for any of 1,000,000 keys takes 22 us with these, 18 with those; 25 bytes a key.
_LARGEST = 64
_RETRY_GROWTH = 1.0


class Cells:
    """The cells of one table, as this process has them open.

    Attributes:
        locks: One a shard, see `lock_of`.
        epoch: The reading of the clock from which times count.
        alone: True when no other process has them.
    """

    def __init__(
        self, place: Place, name: str, width: int, *, clock: Clock, max_cells: int = 1 << 21
    ) -> None:
        """Open what is there, or make the first 1,024 cells.

        Args:
            place: Where.
            name: Of the table; part of file names.
            width: Floats a cell, the first of which is the time when it becomes free.
            clock: The arena's.
            max_cells: No segment is added once there are so many.

        Raises:
            OSError: There is no room.
        """
        self._place = place
        self._name = f"{name}-{width}"
        self._width = width
        self._clock = clock
        self._max_cells = max_cells
        self._seed = place.seed
        self.epoch = place.epoch
        self.alone = place.path is None
        self._no_growth_until = 0.0
        *self.locks, self._growth = place.locks(self._name, SHARDS + 1)
        self._overflow = self._segment(0)
        self._segments = [self._segment(1)]
        self._adding = threading.Lock()
        self._catch_up()

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._clock.monotonic() - self.epoch

    def digest(self, key: bytes) -> bytes:
        """Return what stands for ``key`` here; it cannot be foretold outside of the arena."""
        return hashlib.blake2b(key, digest_size=16, key=self._seed).digest()

    def lock_of(self, digest: bytes) -> Lock:
        """Return the lock of the cell of ``digest``."""
        return self.locks[digest[0] % SHARDS]

    def find(self, digest: bytes) -> tuple[Segment, int] | None:
        """Return where ``digest`` lies. Without the lock it may be gone the next moment."""
        for segment in self._segments:
            cell = segment.find(digest)
            if cell >= 0:
                return segment, cell
        if self._catch_up():
            return self.find(digest)
        return None

    def claim(self, digest: bytes, now: float) -> tuple[Segment, int] | None:
        """Return its cell, a free one if it has none, None when all are live. Under the lock."""
        found = self.find(digest)
        if found is not None:
            return found
        # The newest first: the others are mostly full.
        for segment in reversed(self._segments):
            cell = segment.free(digest, now)
            if cell >= 0:
                segment.give(cell, digest)
                return segment, cell
        return None

    def overflow(self, digest: bytes, now: float) -> tuple[Segment, int]:
        """Return the cell that the keys share for which there is no room. Under the lock."""
        segment = self._overflow
        cell = segment.find(digest)
        if cell < 0:
            cell = max(segment.free(digest, now), segment.group(digest))
            segment.give(cell, digest)
        return segment, cell

    def grow(self) -> bool:
        """Add a segment, or see that another process did. Not under a shard's lock.

        Returns:
            False when there is no room for one.
        """
        if self._catch_up():
            return True
        number = len(self._segments) + 1
        if self._cells() >= self._max_cells or self.now() < self._no_growth_until:
            return False
        if not self._growth.acquire():
            return False
        try:
            self._add(number)
            self._overflow.words[0] = max(self._overflow.words[0], number)
        except OSError:
            self._no_growth_until = self.now() + _RETRY_GROWTH
            return False
        finally:
            self._growth.release()
        return True

    def clear(self, digest: bytes) -> bool:
        """Let the cell of ``digest`` expire; returns False when its lock could not be had."""
        lock = self.lock_of(digest)
        if not lock.acquire():
            return False
        try:
            spot = self.find(digest)
            if spot is not None:
                spot[0].floats[spot[0].at(spot[1])] = 0.0
        finally:
            lock.release()
        return True

    def wipe(self) -> bool:
        """Free every cell; returns False when a shard's lock could not be had."""
        done = True
        for shard, lock in enumerate(self.locks):
            if not lock.acquire():
                done = False
                continue
            try:
                for segment in (self._overflow, *self._segments):
                    segment.wipe(shard)
            finally:
                lock.release()
        return done

    def _cells(self) -> int:
        return SHARDS * _GROUP * sum(map(_groups, range(1, len(self._segments) + 1)))

    def _catch_up(self) -> bool:
        """Open what other processes have added; returns whether there was anything."""
        # The overflow segment's first word is how many segments there are.
        published = self._overflow.words[0]
        before = len(self._segments)
        if published <= before:
            return False
        with contextlib.suppress(OSError):
            self._add(published)
        return len(self._segments) > before

    def _add(self, number: int) -> None:
        with self._adding:
            while len(self._segments) < number:
                self._segments.append(self._segment(len(self._segments) + 1))

    def _segment(self, number: int) -> Segment:
        groups, group = (_groups(number), _GROUP) if number else (1, _OVERFLOW_GROUP)
        size = HEADER + SHARDS * groups * group * (16 + 8 * self._width)
        memory = self._place.segment(f"{self._name}.{number}", size)
        return Segment(memory, number, groups, group, self._width)


def _groups(number: int) -> int:
    """Return how many groups a shard has in a segment: it doubles all cells, up to a bound."""
    return min(1 << max(number - 2, 0), _LARGEST)
