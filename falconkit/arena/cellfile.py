"""One mapped file of cells: groups of digests, and after all of them the floats."""

from __future__ import annotations

import mmap

SHARDS = 16
"""How many locks a table has; a digest's first byte says which is its own."""

HEADER = 64
"""Bytes before the first digest. The first word of a table's file 0 counts its segments."""


class Segment:
    """One mapped file of cells.

    Attributes:
        memory: As bytes.
        words: Its memory as unsigned 64-bit numbers.
        floats: The same memory as floats.
    """

    __slots__ = (
        "_digests",
        "_factor",
        "_group",
        "_groups",
        "_values",
        "_width",
        "floats",
        "memory",
        "words",
    )

    def __init__(self, memory: mmap.mmap, number: int, groups: int, group: int, width: int) -> None:
        self.memory = memory
        self._factor = 2 * number + 1
        self._groups = groups
        self._group = group
        self._width = width
        self._digests = HEADER
        self._values = (HEADER + SHARDS * groups * group * 16) // 8
        view = memoryview(memory)
        self.words = view.cast("Q")
        self.floats: memoryview[float] = view.cast("d")

    def group(self, digest: bytes) -> int:
        """Return the first cell of the group in which ``digest`` may lie."""
        # Another factor in each segment, lest keys that share a full group meet again.
        spread = int.from_bytes(digest[8:], "little") * self._factor >> 7
        return (digest[0] % SHARDS * self._groups + spread % self._groups) * self._group

    def find(self, digest: bytes) -> int:
        """Return the cell of ``digest``, -1 when it is not here."""
        first = self.group(digest)
        start = self._digests + first * 16
        # PERF: the copy is faster than mmap.find, which compares byte by byte.
        group = self.memory[start : start + self._group * 16]
        at = group.find(digest)
        while at > 0 and at % 16:
            at = group.find(digest, at + 1)
        return first + at // 16 if at >= 0 else -1

    def free(self, digest: bytes, now: float) -> int:
        """Return a cell of its group whose time is past, -1 when all are live."""
        first = self.group(digest)
        start = self.at(first)
        times = self.floats[start : start + self._group * self._width : self._width].tolist()
        oldest = min(times)
        return first + times.index(oldest) if oldest <= now else -1

    def give(self, cell: int, digest: bytes) -> None:
        """Make ``cell`` the one of ``digest``, all zeros."""
        for at in range(self.at(cell), self.at(cell) + self._width):
            self.floats[at] = 0.0
        self.memory[self.digest(cell)] = digest

    def at(self, cell: int) -> int:
        """Return where the floats of ``cell`` begin."""
        return self._values + cell * self._width

    def digest(self, cell: int) -> slice:
        """Return where the digest of ``cell`` lies in ``memory``."""
        start = self._digests + cell * 16
        return slice(start, start + 16)

    def wipe(self, shard: int) -> None:
        """Free every cell of a shard."""
        size = self._groups * self._group * self._width
        start = self._values + shard * size
        self.floats[start : start + size] = memoryview(bytes(size * 8)).cast("d")
