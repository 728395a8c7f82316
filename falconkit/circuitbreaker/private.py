"""A record for the threads of one process alone, used like one of the arena."""

from __future__ import annotations

import os
import threading
from array import array
from collections.abc import Callable
from typing import Protocol, TypeVar

R = TypeVar("R")

Step = Callable[[list[float], float], R]


class Record(Protocol):
    """What a breaker keeps its state in; `falconkit.arena.Record` is one."""

    cells: memoryview[float] | None
    mine: int

    @property
    def alone(self) -> bool:
        """Whether others are still to be told of what was changed."""

    def opened(self) -> memoryview[float]:
        """Return ``cells``, opened if need be."""

    def change(self, step: Step[R]) -> R:
        """Run ``step`` while nobody else may."""

    def hand_out(self, step: Step[R]) -> R:
        """Run ``step``, or raise TimeoutError when it cannot be done for all who share."""


class PrivateRecord:
    """So many floats and one counter.

    >>> record = PrivateRecord(1)
    >>> record.opened()[record.mine] += 1.0
    >>> record.change(lambda values, counted: counted)
    1.0
    """

    __slots__ = ("_lock", "_pid", "cells", "mine")

    alone = False

    def __init__(self, width: int) -> None:
        self.cells: memoryview[float] | None = memoryview(array("d", bytes(8 * (width + 1))))
        self.mine = width
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._pid = os.getpid()

    def opened(self) -> memoryview[float]:
        """Return ``cells``."""
        if self.cells is None:
            raise RuntimeError("a private record is always open")
        return self.cells

    def change(self, step: Step[R]) -> R:
        """Run ``step`` while no other thread may; what it raises leaves all as it was."""
        if self._pid != os.getpid():
            # Another thread of the parent may have held it at the fork.
            self._begin()
        with self._lock:
            cells = self.opened()
            values: list[float] = [*cells[: self.mine].tolist()]
            result = step(values, cells[self.mine])
            cells[: self.mine] = memoryview(array("d", values))
            return result

    def hand_out(self, step: Step[R]) -> R:
        """Do the same: nobody shares it."""
        return self.change(step)
