"""The slot in which this process counts: taken by its lock, mapped, added to."""

from __future__ import annotations

import itertools
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from falconkit.arena.lock import TAKE, flock_call
from falconkit.arena.segment import map_file, reserve
from falconkit.arena.slotfile import (
    FIRST,
    GAUGE,
    HEADER,
    MAGIC,
    RECORD,
    Record,
    Which,
    file_of,
    records,
    size_of,
)


def first_free(paths: Iterator[Path]) -> tuple[int, Path, int] | None:
    """Lock the first slot that has no worker; returns its number, its path and the lock's file.

    Args:
        paths: Those of all slots, in order.

    Raises:
        OSError: There is no room for it.
    """
    flock, _ = flock_call()
    for number, path in enumerate(paths):
        # Not the file that is mapped: a mapping keeps its own copy of it open, and
        # with it the lock.
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if flock(fd, TAKE) == 0:
                _prepare(fd)
                return number, path, fd
        except OSError:
            os.close(fd)
            raise
        os.close(fd)
    return None


def _prepare(fd: int) -> None:
    """Make the first file of a slot, whose lock we hold, ready to be mapped.

    Raises:
        OSError: There is no room.
    """
    reserve(fd, FIRST)
    if os.pread(fd, len(MAGIC), 0) != MAGIC:
        os.pwrite(fd, bytes(FIRST), 0)
        os.pwrite(fd, HEADER.pack(MAGIC, 0), 0)


class SlotWriter:
    """The slot of this process, mapped. Not thread-safe: `Slots` has the lock.

    Attributes:
        series: Values and what was sent of them, by key and width; gauges apart.
        gauges: Those of them that are gauges.
    """

    def __init__(self, slot: Path | None) -> None:
        """Map the slot whose lock we hold, and set its gauges to 0.

        Args:
            slot: Its first file; None for memory of this process alone.

        Raises:
            OSError: There is no room.
        """
        self.slot = slot
        self.series: dict[Which, tuple[memoryview[float], memoryview[float]]] = {}
        self.gauges: dict[Which, tuple[memoryview[float], memoryview[float]]] = {}
        self._files: list[mmap.mmap] = []
        self._end = HEADER.size
        if slot is None:
            self._add_memory(0)
            return
        for number in itertools.count():
            path = file_of(slot, number)
            # One that was being made when its worker was killed is made again.
            if number and not _is_whole(path, size_of(number)):
                break
            self._adopt(map_file(path, size_of(number)))

    def _adopt(self, memory: mmap.mmap) -> None:
        self._files.append(memory)
        self._end = HEADER.size
        for record, end in records(memory, self._end):
            self._end = end
            values, sent = self._bind(memory, record)
            if record.gauge:
                values[:] = sent[:] = memoryview(bytes(8 * record.width)).cast("d")

    def _bind(
        self, memory: mmap.mmap, record: Record
    ) -> tuple[memoryview[float], memoryview[float]]:
        floats = memoryview(memory).cast("d")
        at = record.at // 8
        views = floats[at : at + record.width], floats[at + record.width : at + 2 * record.width]
        self.series[record.which] = views
        if record.gauge:
            self.gauges[record.which] = views
        return views

    def add(self, key: str, width: int, gauge: bool) -> memoryview[float]:
        """Return the values of a series, a new one unless it is here already.

        Raises:
            OSError: There is no room.
        """
        here = self.series.get((key, width, gauge))
        if here is not None:
            return here[0]
        raw = key.encode("utf-8", "surrogatepass")
        values = RECORD.size + -(-len(raw) // 8) * 8
        length = values + 16 * width
        while self._end + length > len(self._files[-1]):
            self._add_file(len(self._files))
        memory, at = self._files[-1], self._end
        memory[at + 8 : at + RECORD.size] = RECORD.pack(
            0, zlib.crc32(raw), width, len(raw), GAUGE if gauge else 0
        )[8:]
        memory[at + RECORD.size : at + RECORD.size + len(raw)] = raw
        memory[at : at + 8] = struct.pack("<Q", length)
        self._end = at + length
        return self._bind(memory, Record(key, width, gauge, at + values))[0]

    def _add_file(self, number: int) -> None:
        if self.slot is None:
            self._add_memory(number)
            return
        path = file_of(self.slot, number)
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            reserve(fd, size_of(number))
            os.pwrite(fd, HEADER.pack(MAGIC, 0), 0)
        except OSError:
            os.unlink(path)
            raise
        finally:
            os.close(fd)
        self._adopt(map_file(path, size_of(number)))

    def _add_memory(self, number: int) -> None:
        memory = mmap.mmap(-1, size_of(number))
        memory[: HEADER.size] = HEADER.pack(MAGIC, 0)
        self._adopt(memory)


def _is_whole(path: Path, size: int) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC and os.fstat(file.fileno()).st_size == size
    except FileNotFoundError:
        return False
