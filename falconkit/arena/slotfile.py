"""What a slot's files hold: records of series, each found without any other.

A slot is one file and, as it fills, further ones after it (``slot``,
``slot.1``, ...), each twice as large. A record is written whole before its
first word, its length, says that it is there, and never moves::

    length  crc of the key  width  key length  flags | key | values | what was sent
"""

from __future__ import annotations

import itertools
import mmap
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from falconkit.arena.segment import map_file, reserve

_HEADER = struct.Struct("<8sQ")
_RECORD = struct.Struct("<QIIII")
_MAGIC = b"falkn-S1"
_FIRST = 4096
_GAUGE = 1

LAYOUT = f"{zlib.crc32(_MAGIC + (_HEADER.format + _RECORD.format).encode()):08x}"
"""Part of file names: code that lays its records out otherwise has other files."""


Which = tuple[str, int, bool]


@dataclass(frozen=True, slots=True)
class Record:
    """One series in a file.

    Attributes:
        key: Its name.
        width: How many floats it has.
        gauge: Whether its values are of now, not sums.
        at: Where its values begin, in bytes; what was sent of them comes after.
    """

    key: str
    width: int
    gauge: bool
    at: int

    @property
    def which(self) -> Which:
        """Key, width and kind: what makes two series the same."""
        return self.key, self.width, self.gauge

    def values(self, data: bytes) -> list[float]:
        """Return its values, as they are in the bytes of its file."""
        return list(struct.unpack_from(f"={self.width}d", data, self.at))

    def sent(self, data: bytes) -> list[float]:
        """Return what was sent of them."""
        return list(struct.unpack_from(f"={self.width}d", data, self.at + 8 * self.width))


def records(data: bytes | mmap.mmap, at: int) -> Iterator[tuple[Record, int]]:
    """Return the records from ``at`` on, each with where the next one begins."""
    while at + _RECORD.size <= len(data):
        length, check, width, named, flags = _RECORD.unpack_from(data, at)
        body = at + _RECORD.size
        values = body + -(-named // 8) * 8
        if length == 0 or at + length > len(data) or values + 16 * width != at + length:
            return
        raw = data[body : body + named]
        if zlib.crc32(raw) != check:
            return
        at += length
        key = raw.decode("utf-8", "surrogatepass")
        yield Record(key, width, bool(flags & _GAUGE), values), at


def file_of(slot: Path, number: int) -> Path:
    """Return the path of a slot's file of that number."""
    return slot.with_name(f"{slot.name}.{number}") if number else slot


def size_of(number: int) -> int:
    """Return how many bytes a slot's file of that number has."""
    return _FIRST << number


def prepare(fd: int) -> None:
    """Make the first file of a slot, whose lock we hold, ready to be mapped.

    Raises:
        OSError: There is no room.
    """
    reserve(fd, _FIRST)
    if os.pread(fd, len(_MAGIC), 0) != _MAGIC:
        os.pwrite(fd, bytes(_FIRST), 0)
        os.pwrite(fd, _HEADER.pack(_MAGIC, 0), 0)


@dataclass(slots=True)
class Seen:
    """How far one file was read: records are only ever added.

    Attributes:
        found: Its records.
        end: Where the next one will begin.
    """

    found: list[Record] = field(default_factory=list)
    end: int = _HEADER.size

    def update(self, data: bytes) -> list[Record]:
        """Return all records of the file, which now holds ``data``."""
        if data.startswith(_MAGIC):
            for record, end in records(data, self.end):
                self.end = end
                self.found.append(record)
        return self.found


class SlotWriter:
    """The slot of this process, mapped. Not thread-safe: `Slots` has the lock.

    Attributes:
        series: Values and what was sent of them, by key and width; gauges apart.
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
        self._files: list[mmap.mmap] = []
        self._end = _HEADER.size
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
        self._end = _HEADER.size
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
        values = _RECORD.size + -(-len(raw) // 8) * 8
        length = values + 16 * width
        while self._end + length > len(self._files[-1]):
            self._add_file(len(self._files))
        memory, at = self._files[-1], self._end
        memory[at + 8 : at + _RECORD.size] = _RECORD.pack(
            0, zlib.crc32(raw), width, len(raw), _GAUGE if gauge else 0
        )[8:]
        memory[at + _RECORD.size : at + _RECORD.size + len(raw)] = raw
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
            os.pwrite(fd, _HEADER.pack(_MAGIC, 0), 0)
        except OSError:
            os.unlink(path)
            raise
        finally:
            os.close(fd)
        self._adopt(map_file(path, size_of(number)))

    def _add_memory(self, number: int) -> None:
        memory = mmap.mmap(-1, size_of(number))
        memory[: _HEADER.size] = _HEADER.pack(_MAGIC, 0)
        self._adopt(memory)


def _is_whole(path: Path, size: int) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_MAGIC)) == _MAGIC and os.fstat(file.fileno()).st_size == size
    except FileNotFoundError:
        return False
