"""The workers of this host that live: who they are, and what each of them does."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

from falconkit.arena import Arena, Series
from falconkit.clock import Clock, system_clock
from falconkit.debug.state import Worker

PID: Final = 0
SINCE: Final = 1
CALLS: Final = 2
IN_FLIGHT: Final = 3
_WIDTH: Final = 4


class Roll:
    """Knows the workers of a host, by what each writes into a slot of its own.

    >>> roll = Roll(Arena(directory=None))
    >>> roll.mine()[CALLS] += 1.0
    >>> [(each.pid == os.getpid(), each.calls) for each in roll.workers()]
    [(True, 1)]

    Args:
        arena: Whose slots.
        clock: Tells since when a worker serves.
    """

    def __init__(self, arena: Arena, *, clock: Clock = system_clock) -> None:
        self._clock = clock
        self._slots = arena.slots("workers")
        self._seat = self._slots.series("seat", 1, gauge=True)
        self._own: Series | None = None

    def mine(self) -> memoryview[float]:
        """Return this worker's floats, which only ``+=`` may change."""
        # PERF: 0.06 us. They are None again when the process forks or closes its arena.
        own = self._own
        return self.enter() if own is None or own.cells is None else own.cells

    def workers(self) -> list[Worker]:
        """Return the workers that live, by process id."""
        now = self._clock.monotonic()
        found = {}
        for key, cells in self._slots.read(gauges_only=True).items():
            if key != "seat" and cells[PID] > 0:
                pid = int(cells[PID])
                found[pid] = Worker(
                    pid,
                    max(0.0, now - cells[SINCE]),
                    int(cells[CALLS]),
                    max(0, int(cells[IN_FLIGHT])),
                    *used(pid),
                )
        return [found[pid] for pid in sorted(found)]

    def enter(self) -> memoryview[float]:
        """Enter this worker, if it is not; returns its floats."""
        self._seat.add(0, 0.0)  # takes a slot, whose number names what is ours in it
        # Named by the number, not by the process: a slot whose workers come and go stays small.
        own = self._slots.series(f"worker{max(self._slots.number, 0)}", _WIDTH, gauge=True)
        # The rest is 0 in a slot that was just taken, and is not when two threads come here.
        own.set(SINCE, self._clock.monotonic())
        own.set(PID, float(os.getpid()))
        self._own = own
        cells = own.cells
        return self.enter() if cells is None else cells


def used(pid: int) -> tuple[float | None, int | None, int | None]:
    """Return what a process has used: seconds of the processor, bytes, threads.

    >>> used(-1)
    (None, None, None)
    """
    with suppress(OSError, ValueError, IndexError):
        # proc(5): the name, in brackets, may have anything in it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        return ticks, int(fields[21]) * os.sysconf("SC_PAGE_SIZE"), int(fields[17])
    return None, None, None
