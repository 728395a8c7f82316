"""Records by key: read without a lock, changed under one, and counted in beside it.

A record is some floats that are changed all together under a lock, and behind
them one counter for each worker, who adds to its own without any lock. Whoever
changes the record is given the sum of the counters. So what happens all the
time is counted for next to nothing, and is known exactly whenever it matters.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable

from falconkit.arena.cells import Cells
from falconkit.arena.record import COUNTERS, Record
from falconkit.arena.slots import Slots


class Records:
    """Records of one width, shared by the processes of the arena.

    >>> from falconkit.arena import Arena
    >>> record = Arena(directory=None).records("seen", 1).of("ann")
    >>> record.opened()[record.mine] += 2.0
    >>> def note(values: list[float], counted: float) -> float:
    ...     values[0] += 1.0
    ...     return counted
    >>> record.change(note), record.opened()[0]
    (2.0, 1.0)

    Attributes:
        width: Floats of a record, its counters not among them.
        threads: Lets one thread of this process at a time change a record. Not left to
            the lock between processes, whose wait is so short that it would run out
            while a thread queues for the GIL.
        degraded: Hears what went less well, with no lock held.
    """

    def __init__(
        self,
        open_cells: Callable[[], Cells],
        seats: Slots,
        width: int,
        *,
        degraded: Callable[[str, str], None],
    ) -> None:
        self._open = open_cells
        self._seats = seats
        self._seat = seats.series("seat", 1, gauge=True)
        self.width = width
        self.degraded = degraded
        self._given: weakref.WeakSet[Record] = weakref.WeakSet()
        self.forget()

    def of(self, key: str) -> Record:
        """Return a handle of the record of ``key``. Nothing is opened yet."""
        record = Record(self, key)
        self._given.add(record)
        return record

    def forget(self) -> None:
        """Open anew on the next use: after a fork, or when the arena was closed."""
        self.threads = threading.Lock()
        self._cells: Cells | None = None
        for record in tuple(self._given):
            record.forget()

    def settle(self) -> None:
        """Do to the shared records what was done to copies; before the process ends."""
        for record in tuple(self._given):
            record.settle()

    def opened(self) -> Cells:
        """Return the cells, as this process has them open."""
        cells = self._cells
        if cells is None:
            cells = self._cells = self._open()
        return cells

    def counter(self) -> int:
        """Return where this process' counter is in a record, 0 when there is none for it."""
        if self.opened().alone:
            return self.width
        self._seat.add(0, 0.0)
        return self.width + self._seats.number if 0 <= self._seats.number < COUNTERS else 0
