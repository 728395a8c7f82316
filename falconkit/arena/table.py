"""Cells of several floats by key, for counts that belong to a window of time."""

from __future__ import annotations

from array import array
from collections.abc import Callable, MutableSequence
from typing import TypeVar

from falconkit.arena.cellfile import Segment
from falconkit.arena.cells import Cells
from falconkit.clock import Clock

R = TypeVar("R")

Change = Callable[[MutableSequence[float], bool], R]
"""Changes a cell's floats in place; the flag says whether the cell is new, all zeros."""


class Table:
    """Cells by key, shared by the processes of the arena.

    >>> from falconkit.arena import Arena
    >>> table = Arena(directory=None).table("hits", 1)
    >>> def count(cell: MutableSequence[float], fresh: bool) -> float:
    ...     cell[0] += 1.0
    ...     return cell[0]
    >>> table.apply("ann", 60.0, count), table.apply("ann", 60.0, count)
    (1.0, 2.0)
    >>> table.clear("ann")
    True
    >>> table.read("ann") is None
    True
    """

    __slots__ = ("_alone", "_cells", "_clock", "_degraded", "_open", "width")

    def __init__(
        self,
        open_cells: Callable[[], Cells],
        width: int,
        *,
        clock: Clock,
        degraded: Callable[[str, str], None],
    ) -> None:
        self._open = open_cells
        self._clock = clock
        self._degraded = degraded
        self.width = width
        self.forget()

    def forget(self) -> None:
        """Open anew on the next use: after a fork, or when the arena was closed."""
        self._cells: Cells | None = None
        self._alone: dict[str, tuple[list[float], float]] = {}

    def apply(self, key: str, expires_in: float, change: Change[R]) -> R:
        """Run ``change`` on the cell of ``key`` while nobody else may.

        It must be quick, and do no I/O: other workers wait for it. What it raises
        comes through, and the cell stays as it was. When another process keeps the
        lock for more than 5 ms, it runs on a copy that only this process sees.

        Args:
            key: Whose cell: any string.
            expires_in: Seconds from now after which the cell may be given to another key.
            change: Called with the cell's floats, and whether they are new.

        Returns:
            What ``change`` returned.
        """
        cells = self._opened()
        digest = cells.digest(key.encode("utf-8", "surrogatepass"))
        lock = cells.lock_of(digest)
        while lock.acquire():
            try:
                spot = cells.claim(digest, cells.now())
                if spot is not None:
                    return self._run(spot, cells, expires_in, change)
            finally:
                lock.release()
            if not cells.grow():
                return self._overflow(key, cells, expires_in, change)
        return self._run_alone(key, cells, cells.find(digest), expires_in, change)

    def read(self, key: str) -> tuple[list[float], float] | None:
        """Return the floats of ``key`` and the seconds until they expire, None if it has none."""
        cells = self._opened()
        digest = cells.digest(key.encode("utf-8", "surrogatepass"))
        lock = cells.lock_of(digest)
        held = lock.acquire()
        try:
            spot = cells.find(digest)
            if spot is None:
                return None
            left, values = self._look(spot, cells.now())
        finally:
            if held:
                lock.release()
        return (values, left) if left > 0.0 else None

    def clear(self, key: str) -> bool:
        """Forget the cell of ``key``; returns False when its lock could not be had."""
        cells = self._opened()
        self._alone.pop(key, None)
        if cells.clear(cells.digest(key.encode("utf-8", "surrogatepass"))):
            return True
        self._degraded("contended", f"the cell of {key[:80]!r} was not cleared")
        return False

    def reset(self) -> bool:
        """Forget every cell; returns False when a lock could not be had."""
        self._alone.clear()
        return self._opened().wipe()

    def _opened(self) -> Cells:
        cells = self._cells
        if cells is None:
            cells = self._cells = self._open()
        return cells

    def _look(self, spot: tuple[Segment, int], now: float) -> tuple[float, list[float]]:
        segment, cell = spot
        at = segment.at(cell)
        values: list[float] = [*segment.floats[at + 1 : at + 1 + self.width]]
        return segment.floats[at] - now, values

    def _run(
        self, spot: tuple[Segment, int], cells: Cells, expires_in: float, change: Change[R]
    ) -> R:
        now = cells.now()
        left, values = self._look(spot, now)
        fresh = not left > 0.0
        result = change(values := [0.0] * self.width if fresh else values, fresh)
        segment, cell = spot
        at = segment.at(cell)
        written = memoryview(array("d", values))
        segment.floats[at + 1 : at + 1 + self.width] = written
        segment.floats[at] = now + expires_in
        return result

    def _overflow(self, key: str, cells: Cells, expires_in: float, change: Change[R]) -> R:
        self._degraded("full", f"no cell for {key[:80]!r}: it shares one with others")
        digest = cells.digest(b"\xffoverflow")
        lock = cells.lock_of(digest)
        if not lock.acquire():
            return self._run_alone(key, cells, None, expires_in, change)
        try:
            return self._run(cells.overflow(digest, cells.now()), cells, expires_in, change)
        finally:
            lock.release()

    def _run_alone(
        self,
        key: str,
        cells: Cells,
        spot: tuple[Segment, int] | None,
        expires_in: float,
        change: Change[R],
    ) -> R:
        self._degraded("contended", f"the cell of {key[:80]!r} was changed in a copy")
        now = cells.now()
        values, expires = self._alone.get(key, ([], 0.0))
        if expires <= now:
            left, values = (0.0, []) if spot is None else self._look(spot, now)
            expires = now + left
        fresh = expires <= now
        values = [0.0] * self.width if fresh else list(values)
        result = change(values, fresh)
        if len(self._alone) >= 1024:
            self._alone.clear()
        self._alone[key] = (values, now + expires_in)
        return result
