"""Slots of other workers, read as files: nothing of them is mapped here."""

from __future__ import annotations

import itertools
import os
from array import array
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from falconkit.arena.lock import SHARE, TAKE, flock_call
from falconkit.arena.series import Unsent
from falconkit.arena.slotfile import WORD, Record, Seen, differences, file_of


def is_held(slot: Path) -> bool:
    """Return whether a living worker has the slot."""
    try:
        fd = os.open(slot, os.O_RDONLY)
    except OSError:
        return False
    try:
        # Shared, so that two readers do not take each other for a worker.
        return flock_call()[0](fd, SHARE) != 0
    finally:
        os.close(fd)


def contents(slot: Path, seen: dict[Path, Seen]) -> Iterator[tuple[bytes, list[Record]]]:
    """Return bytes and records of each file of a slot.

    Args:
        slot: Its first file.
        seen: What was found the last time, so that only new records are looked for.
    """
    for number in itertools.count():
        path = file_of(slot, number)
        try:
            data = path.read_bytes()
        except OSError:
            return
        yield data, seen.setdefault(path, Seen()).update(data)


def gauges(slot: Path, seen: dict[Path, Seen]) -> Iterator[tuple[bytes, list[Record]]]:
    """Return as much as its gauges need of each file of a slot, and their records.

    Args:
        slot: Its first file.
        seen: As for `contents`.
    """
    for number in itertools.count():
        path = file_of(slot, number)
        try:
            fd = os.open(path, os.O_RDONLY)
        except OSError:
            return
        try:
            known = seen.setdefault(path, Seen())
            # PERF: 4 us a file, where reading 500 kB takes 26: of most there is nothing to read.
            if any(os.pread(fd, WORD, known.end)):
                known.update(os.pread(fd, os.fstat(fd).st_size, 0))
            data = os.pread(fd, known.gauges_end, 0)
        finally:
            os.close(fd)
        yield data, known.gauges


class Orphan:
    """A slot without a worker, whose lock we have for as long as this object lives."""

    __slots__ = ("__weakref__", "_fds", "_slot")

    def __init__(self, slot: Path, fd: int) -> None:
        self._slot = slot
        self._fds = [fd]

    @classmethod
    def adopt(cls, slot: Path) -> Orphan | None:
        """Lock the slot; None when it has a worker, or somebody else is at it."""
        try:
            fd = os.open(slot, os.O_RDWR)
        except OSError:
            return None
        if flock_call()[0](fd, TAKE) != 0:
            os.close(fd)
            return None
        return cls(slot, fd)

    def unsent(self) -> Iterator[Unsent]:
        """Return what its worker had not sent when it died; its gauges are set to 0."""
        for number, (data, found) in enumerate(contents(self._slot, {})):
            if number:
                self._fds.append(os.open(file_of(self._slot, number), os.O_RDWR))
            fd = self._fds[number]
            for record in found:
                values = record.values(data)
                if record.gauge:
                    os.pwrite(fd, bytes(16 * record.width), record.at)
                    continue
                deltas = differences(values, record.sent(data))
                if deltas:
                    yield Unsent(record.key, deltas, partial(self._mark, fd, record, values))

    def _mark(self, fd: int, record: Record, values: array[float]) -> None:
        if fd in self._fds:
            os.pwrite(fd, values.tobytes(), record.at + 8 * record.width)

    def close(self) -> None:
        """Let the slot go."""
        while self._fds:
            os.close(self._fds.pop())

    def __del__(self) -> None:
        self.close()
