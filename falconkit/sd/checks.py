"""How a row of good and bad answers becomes healthy or not."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from random import Random

from falconkit.clock import Clock
from falconkit.sd.instance import Instance

Probe = Callable[[Instance], object]
"""Asks an instance; raises when it is not well."""


@dataclass(frozen=True, slots=True)
class Rules:
    """When and how often instances are asked; see `checked`."""

    every: float
    ill_after: int
    well_after: int
    threads: int


class Checks:
    """Asks instances when they are due.

    Attributes:
        ill: The addresses of those that are not healthy.
    """

    def __init__(self, probe: Probe, rules: Rules, *, clock: Clock, rng: Random) -> None:
        self.ill: frozenset[str] = frozenset()
        self._probe, self._rules = probe, rules
        self._clock, self._rng = clock, rng
        self._due: dict[str, float] = {}
        self._row: dict[str, int] = {}  # good answers in a row, or bad ones as a negative number
        self._pool: ThreadPoolExecutor | None = None

    def run(self, instances: Iterable[Instance]) -> float:
        """Ask those that are due; returns the seconds until the next one is."""
        there = {each.address: each for each in instances}
        self.ill &= there.keys()
        for kept in (self._due, self._row):
            for gone in kept.keys() - there.keys():
                del kept[gone]
        now = self._clock.monotonic()
        asked = [each for address, each in there.items() if self._due.get(address, now) <= now]
        if asked:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._rules.threads, "falconkit-sd-check")
            for each, well in zip(asked, self._pool.map(self._is_well, asked), strict=True):
                self._note(each.address, well)
                # Each at its own time, lest all of a host's questions come at once.
                wait = self._rules.every * self._rng.uniform(0.9, 1.1)
                self._due[each.address] = now + wait
        return max(0.0, min(self._due.values(), default=now + self._rules.every) - now)

    def close(self) -> None:
        """End the threads, once their last answers have come."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def _is_well(self, instance: Instance) -> bool:
        try:
            self._probe(instance)
        except Exception:
            return False
        return True

    def _note(self, address: str, well: bool) -> None:
        before = self._row.get(address, 0)
        row = max(before, 0) + 1 if well else min(before, 0) - 1
        self._row[address] = row
        if row <= -self._rules.ill_after:
            self.ill |= {address}
        elif row >= self._rules.well_after:
            self.ill -= {address}
