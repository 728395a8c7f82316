"""One record of the arena, as one process sees it, and what it does without the lock."""

from __future__ import annotations

import math
from array import array
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from falconkit.arena.cellfile import Segment
from falconkit.arena.lock import Lock
from falconkit.clock import system_clock

if TYPE_CHECKING:
    from falconkit.arena.records import Records

R = TypeVar("R")
Spot = tuple[Segment, int]

Step = Callable[[list[float], float], R]
"""Changes a record's floats in place, given them and the sum of the counters."""

COUNTERS = 64
"""Workers that have a counter of their own. One more has none, and counts by a change."""

KEPT = 86_400.0
"""Seconds after its last change in which a record is sure to be there."""

RETRY = 0.1
"""Seconds in which a lock that could not be had is not tried again."""

PATIENCE = 1.0
"""Seconds without the lock after which a process hands out by itself what all share."""

_MOST_OWED = 1000


class Record:
    """One record. Threads may share it.

    When another process keeps the lock for more than 5 ms (it is stopped, say),
    this one works on a copy, and what it did is done to the shared record as
    soon as the lock can be had. The same happens when there is no room.

    Attributes:
        cells: The floats and the counters behind them; None until `opened`.
            Nothing but ``cells[mine] += 1.0`` may be written there.
        mine: Where this process' own counter is in ``cells``, 0 when it has none.
    """

    __slots__ = (
        "__weakref__",
        "_alone_since",
        "_began",
        "_digest",
        "_key",
        "_owed",
        "_records",
        "_retry_at",
        "cells",
        "mine",
    )

    def __init__(self, records: Records, key: str) -> None:
        self._records = records
        self._key = key
        self.forget()

    def forget(self) -> None:
        """Open anew on the next use."""
        self.cells: memoryview[float] | None = None
        self.mine = 0
        self._digest = b""
        self._alone_since = math.inf
        self._retry_at = -math.inf
        self._began = 0.0
        self._owed: deque[Step[object]] = deque(maxlen=_MOST_OWED)

    @property
    def alone(self) -> bool:
        """Whether ``cells`` is a copy, which the shared record does not know of yet."""
        return self._alone_since != math.inf

    def opened(self) -> memoryview[float]:
        """Return ``cells``, opened if need be."""
        cells = self.cells
        if cells is not None:
            return cells
        self.change(lambda values, counted: None)
        return self.opened()

    def settle(self) -> None:
        """Do to the shared record what was done to a copy, if its lock can be had now."""
        if self.alone:
            self._retry_at = -math.inf
            self.change(lambda values, counted: None)

    def change(self, step: Step[R]) -> R:
        """Run ``step`` while nobody else may. It must be quick, and do no I/O.

        What it raises comes through, and the record stays as it was. Without the
        lock it runs on this process' copy now, and once more on the shared
        record later, where its answer is dropped.

        Returns:
            What ``step`` returned.
        """
        return self._locked(step, hand_out=False)

    def hand_out(self, step: Step[R]) -> R:
        """Run a ``step`` that gives away what all processes share: see `change`.

        Without the lock it does not run, and never runs twice. Once the lock could not
        be had for a second, each process gives away what its own copy has.

        Raises:
            TimeoutError: The lock could not be had.
        """
        return self._locked(step, hand_out=True)

    def _locked(self, step: Step[R], *, hand_out: bool) -> R:
        records = self._records
        trouble = ""
        try:
            with records.threads:
                now = system_clock.monotonic()
                lock = None
                if now >= self._retry_at:
                    lock, trouble = self._lock_shared()
                if lock is None:
                    return self._run_alone(step, now, hand_out=hand_out)
                try:
                    return self._run(self.opened(), step)
                finally:
                    lock.release()
        finally:
            if trouble:
                records.degraded(trouble, f"{self._key[:80]!r} was changed in a copy")

    def _lock_shared(self) -> tuple[Lock | None, str]:
        """Return the lock, held, with ``cells`` the shared record; or why it could not be had."""
        records = self._records
        cells = records.opened()
        if not self._digest:
            self._digest = cells.digest(self._key.encode("utf-8", "surrogatepass"))
            self.mine = records.counter()
        lock = cells.lock_of(self._digest)
        while lock.acquire():
            try:
                # Looked for each time: after a day without a change it may be another's.
                spot = cells.claim(self._digest, cells.now())
                if spot is not None:
                    spot[0].floats[spot[0].at(spot[1])] = cells.now() + KEPT
                    self._share(self._view(spot))
                    return lock, ""
            except BaseException:
                lock.release()
                raise
            lock.release()
            if not cells.grow():
                return None, "full"
        return None, "contended"

    def _view(self, spot: Spot) -> memoryview[float]:
        at = spot[0].at(spot[1]) + 1
        return spot[0].floats[at : at + self._records.width + COUNTERS]

    def _share(self, shared: memoryview[float]) -> None:
        """Make ``shared`` what is seen, once it has what a copy got meanwhile. Under the lock."""
        copy, self.cells = self.cells, shared
        if not self.alone or copy is None:
            return
        self._alone_since = math.inf
        if self.mine:
            shared[self.mine] += copy[self.mine] - self._began
        while self._owed:
            self._run(shared, self._owed.popleft())

    def _run_alone(self, step: Step[R], now: float, *, hand_out: bool) -> R:
        if not self.alone:
            self._alone_since = now
            self._copy()
        if now >= self._retry_at:
            self._retry_at = now + RETRY
        if not hand_out:
            self._owed.append(step)
        elif now < self._alone_since + PATIENCE:
            raise TimeoutError(f"the lock of {self._key[:80]!r} could not be had")
        return self._run(self.opened(), step)

    def _copy(self) -> None:
        """Make a copy of the shared record, as it seems to be, what is seen."""
        width = self._records.width + COUNTERS
        seen = self.cells
        if seen is None:
            spot = self._records.opened().find(self._digest)
            seen = None if spot is None else self._view(spot)
        copy = array("d", bytes(8 * width) if seen is None else seen.tobytes())
        self.cells = memoryview(copy)
        self._began = copy[self.mine] if self.mine else 0.0

    def _run(self, cells: memoryview[float], step: Step[R]) -> R:
        width = self._records.width
        values: list[float] = [*cells[:width].tolist()]
        result = step(values, sum(cells[width:].tolist()))
        # One copy of memory, so that a process killed here leaves no half of a change.
        cells[:width] = memoryview(array("d", values))
        return result
