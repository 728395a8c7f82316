"""Where one process has its arena's files open: a shared folder, or its own memory."""

from __future__ import annotations

import mmap
import os
import struct
import weakref
from pathlib import Path
from typing import Protocol

from falconkit.arena.lock import Lock
from falconkit.arena.mutex import mutexes
from falconkit.arena.owner import enter, generation_name
from falconkit.arena.segment import create, map_anew
from falconkit.clock import Clock

_META = struct.Struct("<8sd32s")
_MAGIC = b"falkn-A1"


class Closable(Protocol):
    """Something with an open file that nobody else may keep."""

    def close(self) -> None:
        """Close it; nothing happens the second time."""


class Place:
    """Hands out memory and locks by name: two processes of one folder get the same.

    Attributes:
        path: The folder; None when this process is alone with its memory.
        epoch: The reading of the arena's clock from which its times count. A
            little before its making, so that a cell of zeros is in the past;
            near it, since a float loses digits as it grows.
        seed: The key of all digests, so that nobody outside can make keys collide.
    """

    def __init__(self, path: Path | None, *, clock: Clock, given: bool = False) -> None:
        """Open the folder, which is made when it is not there.

        Args:
            path: A run directory; None for memory of this process alone.
            clock: The arena's clock.
            given: True when the user named the folder.

        Raises:
            OSError: The folder cannot be used.
        """
        self._fds: list[int] = []
        self._tracked: weakref.WeakSet[Closable] = weakref.WeakSet()
        self._memory: dict[str, mmap.mmap] = {}
        self.path = None if path is None else path / generation_name()
        meta = _META.pack(_MAGIC, clock.monotonic() - 1.0, os.urandom(32))
        if path is not None and self.path is not None:
            self._fds.append(enter(path, given=given))
            try:
                meta = _agree(self.path, meta)
            except OSError:
                self.close()
                raise
        self.epoch: float
        self.seed: bytes
        _, self.epoch, self.seed = _META.unpack(meta)

    def segment(self, name: str, size: int) -> mmap.mmap:
        """Return ``size`` bytes that begin as zeros, the same for every process.

        Raises:
            OSError: There is no room.
        """
        if self.path is None:
            if name not in self._memory:
                self._memory[name] = mmap.mmap(-1, size)
            return self._memory[name]
        return map_anew(self.path / name, size)

    def locks(self, name: str, count: int) -> list[Lock]:
        """Return locks, the same for every process, opened for this one.

        Raises:
            OSError: There is no room for them.
        """
        if self.path is None:
            return [Lock(None) for _ in range(count)]
        made: list[Lock] = [*mutexes(self.path / f"{name}.mutexes", count)]
        for number in range(count if not made else 0):
            made.append(Lock(self.path / f"{name}.lock{number}"))
            self.track(made[-1])
        return made

    def keep(self, fd: int) -> None:
        """Close ``fd`` when this place is closed, or left behind by a fork."""
        self._fds.append(fd)

    def track(self, opened: Closable) -> None:
        """Close it when this place is left behind by a fork."""
        self._tracked.add(opened)

    def close(self) -> None:
        """Give up the folder. Locks and memory go when nobody uses them any more."""
        while self._fds:
            os.close(self._fds.pop())

    def __del__(self) -> None:
        self.close()

    def abandon(self) -> None:
        """Close what a child inherited by a fork, lest it keep its parent's locks."""
        self.close()
        for each in tuple(self._tracked):
            each.close()


def _agree(folder: Path, proposed: bytes) -> bytes:
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / "meta"
    create(file, _META.size, proposed)
    agreed = file.read_bytes()
    if len(agreed) != _META.size or not agreed.startswith(_MAGIC):
        raise OSError(f"{file} was not written by this version of falconkit")
    return agreed
