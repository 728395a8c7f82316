"""Peers in turn, medians and their spread."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Spread:
    """A median, and the quartiles beside it.

    >>> Spread.of([3.0, 1.0, 2.0]).text(1)
    '2.0 (1.5-2.5)'
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return it for some values, at least one."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)

    def text(self, digits: int) -> str:
        """Return it for a table."""
        return f"{self.median:,.{digits}f} ({self.low:,.{digits}f}-{self.high:,.{digits}f})"


def ratio(values: Sequence[float], others: Sequence[float]) -> Spread:
    """Return the ratio of two peers, each round's by itself: what slows one slows its neighbour."""
    return Spread.of([a / b for a, b in zip(values, others, strict=True)])


def in_turn(peers: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Ask each peer for one figure, then each for the next: A B C A B C."""
    found: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(rounds):
        for name, figure in peers.items():
            found[name].append(figure())
    return found


def micros(call: Callable[[], object], calls: int) -> Callable[[], float]:
    """Return what measures the microseconds of a call, over so many in a row."""

    def figure() -> float:
        began = time.perf_counter()
        for _ in range(calls):
            call()
        return (time.perf_counter() - began) / calls * 1e6

    return figure
