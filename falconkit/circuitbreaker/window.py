"""What happened lately: over the last so many calls, or the last so many seconds."""

from __future__ import annotations

import math
from typing import Protocol

from falconkit.circuitbreaker.cell import HEAD, WINDOW, WINDOW_WIDTH, Cell

PARTS = 10
"""A window of seconds moves on by a tenth of itself."""

_BITS = 50  # exact in a float
_HALF = WINDOW_WIDTH // 2


class Window(Protocol):
    """Counts calls, failures and slow calls in a cell, and forgets them in time."""

    def clear(self, cell: Cell, now: float) -> None:
        """Begin with no calls."""

    def turn(self, cell: Cell, now: float) -> float:
        """Forget what is too old; returns when there is something to forget again."""

    def add(self, cell: Cell, calls: int, *, failed: bool = False, slow: bool = False) -> None:
        """Count so many calls of one kind."""

    def totals(self, cell: Cell) -> tuple[int, int, int]:
        """Return calls, failures and slow calls."""


class LastCalls:
    """The last ``size`` calls, one bit each.

    >>> window, cell = LastCalls(3), [0.0] * 100
    >>> window.add(cell, 2), window.add(cell, 1, failed=True), window.totals(cell)
    (None, None, (3, 1, 0))
    >>> window.add(cell, 3), window.totals(cell)
    (None, (3, 0, 0))
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._mask = (1 << size) - 1
        self._words = -(-size // _BITS)

    def clear(self, cell: Cell, now: float) -> None:
        """Begin with no calls."""
        cell[HEAD] = 0.0
        cell[WINDOW : WINDOW + WINDOW_WIDTH] = [0.0] * WINDOW_WIDTH

    def turn(self, cell: Cell, now: float) -> float:
        """Do nothing: time makes no call too old."""
        return math.inf

    def add(self, cell: Cell, calls: int, *, failed: bool = False, slow: bool = False) -> None:
        """Count so many calls of one kind."""
        size = self._size
        calls = min(calls, size)
        cell[HEAD] = min(cell[HEAD] + calls, size)
        for at, marked in ((WINDOW, failed), (WINDOW + _HALF, slow)):
            bits = self._load(cell, at) << calls | (self._mask >> size - calls if marked else 0)
            self._store(cell, at, bits & self._mask)

    def totals(self, cell: Cell) -> tuple[int, int, int]:
        """Return calls, failures and slow calls."""
        failures, slow = (self._load(cell, at).bit_count() for at in (WINDOW, WINDOW + _HALF))
        return int(cell[HEAD]), failures, slow

    def _load(self, cell: Cell, at: int) -> int:
        return sum(int(cell[at + word]) << word * _BITS for word in range(self._words))

    def _store(self, cell: Cell, at: int, bits: int) -> None:
        for word in range(self._words):
            cell[at + word] = float(bits >> word * _BITS & (1 << _BITS) - 1)


class LastSeconds:
    """The last ``seconds``, in tenths: the current one, and the nine before it.

    >>> window, cell = LastSeconds(20.0), [0.0] * 100
    >>> window.clear(cell, 100.0), window.turn(cell, 101.0)
    (None, 102.0)
    >>> window.add(cell, 1, failed=True), window.totals(cell)
    (None, (1, 1, 0))
    >>> window.turn(cell, 119.0), window.totals(cell)
    (120.0, (1, 1, 0))
    >>> window.turn(cell, 120.0), window.totals(cell)
    (122.0, (0, 0, 0))
    """

    def __init__(self, seconds: float) -> None:
        self._part = seconds / PARTS

    def clear(self, cell: Cell, now: float) -> None:
        """Begin with no calls."""
        # Tenths begin at multiples of their length on the clock that the workers share.
        cell[HEAD] = float(math.floor(now / self._part))
        cell[WINDOW : WINDOW + WINDOW_WIDTH] = [0.0] * WINDOW_WIDTH

    def turn(self, cell: Cell, now: float) -> float:
        """Forget what is too old; returns when there is something to forget again."""
        head, last = int(cell[HEAD]), math.floor(now / self._part)
        for part in range(max(head + 1, last - PARTS + 1), last + 1):
            at = WINDOW + part % PARTS * 3
            cell[at : at + 3] = 0.0, 0.0, 0.0
        # Never back: a thread may come late with a time that it read before.
        head = max(head, last)
        cell[HEAD] = float(head)
        return (head + 1) * self._part

    def add(self, cell: Cell, calls: int, *, failed: bool = False, slow: bool = False) -> None:
        """Count so many calls of one kind."""
        at = WINDOW + int(cell[HEAD]) % PARTS * 3
        cell[at] += calls
        cell[at + 1] += calls * failed
        cell[at + 2] += calls * slow

    def totals(self, cell: Cell) -> tuple[int, int, int]:
        """Return calls, failures and slow calls."""
        parts = cell[WINDOW : WINDOW + 3 * PARTS]
        calls, failures, slow = sum(parts[::3]), sum(parts[1::3]), sum(parts[2::3])
        return int(calls), int(failures), int(slow)
