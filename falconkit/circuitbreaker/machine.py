"""The breaker's changes of state: arithmetic on a cell, in which time is an argument.

    closed ──(too many failed or were slow)──> open ──(its wait is over)──> half-open
       ^                                        ^                              │
       │                                        └──────(a probe failed)────────┤
       └───────────────────────────────────────────(all probes went well)──────┘

Every change of state begins a generation. A call carries the one that it began
in, and its outcome is dropped when another has begun meanwhile (the idea is
from sony/gobreaker).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from falconkit.circuitbreaker.cell import (
    CLOSED,
    COUNTED,
    DONE,
    FORCED_OPEN,
    GATE,
    HALF_OPEN,
    LETS_ALL_IN,
    MAY_REFUSE,
    OPEN,
    PLACES,
    QUIET,
    ROW,
    SEEN,
    SINCE,
    STATE,
    TRIPS,
    UNTIL,
    WAIT,
    Cell,
)
from falconkit.circuitbreaker.rules import MOST_PROBES, Rules
from falconkit.circuitbreaker.window import LastCalls, LastSeconds, Window
from falconkit.errors import CircuitOpen

GENERATIONS = 1 << 24
"""Before they run into those of another key; one a second lasts for half a year."""

_LOOKS = 3600.0  # a record that is in use is changed at least once an hour, lest it be given away


class Chance(Protocol):
    """What jitter is drawn from: a `random.Random` is one."""

    def random(self) -> float:
        """Return a number from 0 up to 1, without 1."""


class Probe(NamedTuple):
    """The place that a call has in a half-open breaker."""

    gate: float
    place: int
    expires: float


Ticket = float | Probe
"""What a call carries until its outcome is known: a closed breaker's gate, or a place."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of state; ``wait`` is how long an open one will be open."""

    old: int
    new: int
    generation: int
    wait: float | None
    why: str


class Machine:
    """The rules of one breaker, applied to whatever cell it is given."""

    def __init__(
        self, rules: Rules, chance: Chance, first: int, changed: Callable[[Change], None]
    ) -> None:
        """Begin a cell of zeros at the gate ``first``, and tell every change of state."""
        self._rules = rules
        self._chance = chance
        self._first = first
        self._changed = changed
        self.window: Window = (
            LastSeconds(rules.window)
            if rules.window_calls is None
            else LastCalls(rules.window_calls)
        )

    def catch_up(self, cell: Cell, now: float, counted: float) -> None:
        """Take in what was counted without a change. Every change begins with this."""
        states = LETS_ALL_IN if cell[GATE] > 0.0 else MAY_REFUSE
        its_own = 0.0 <= abs(cell[GATE]) - self._first < GENERATIONS
        if not its_own or cell[STATE] not in states:
            # New, or damaged.
            cell[:] = [0.0] * len(cell)
            cell[COUNTED] = counted
            self._enter(cell, now, CLOSED, float(self._first))
        well = int(counted - cell[COUNTED])
        cell[COUNTED] = counted
        if cell[STATE] == CLOSED and well > 0:
            # They were counted before the window had to move on, else that had been done.
            self.window.add(cell, well)
            cell[SEEN] += well
            cell[ROW] = 0.0
        cell[QUIET] = min(self.window.turn(cell, now), now + _LOOKS)

    def admit(self, cell: Cell, now: float) -> Ticket:
        """Let a call in.

        Raises:
            CircuitOpen: It may not go on.
        """
        if cell[GATE] > 0.0:
            return cell[GATE]
        wait = refused_for(cell, now, self._rules)
        if wait is not None:
            raise CircuitOpen(retry_after=wait)
        if cell[STATE] == OPEN:
            self._go(cell, now, HALF_OPEN, why="its wait is over")
        place = free_place(cell, now, self._rules.probes)
        expires = cell[PLACES + place] = now + self._rules.probe_expires
        return Probe(cell[GATE], place, expires)

    def settle(self, cell: Cell, now: float, ticket: Ticket, *, failed: bool, slow: bool) -> None:
        """Take in the outcome of a call that was let in."""
        if isinstance(ticket, Probe):
            self._probed(cell, now, ticket, failed=failed, slow=slow)
        elif cell[GATE] == ticket and cell[STATE] == CLOSED:
            self.window.add(cell, 1, failed=failed, slow=slow)
            cell[SEEN] += 1.0
            cell[ROW] = cell[ROW] + 1.0 if failed else 0.0
            why = self._too_many(cell) if failed or slow else ""
            if why:
                self._trip(cell, now, why)

    def give_back(self, cell: Cell, probe: Probe) -> None:
        """Free the place of a call whose outcome counts as neither."""
        if _has_its_place(cell, probe):
            cell[PLACES + probe.place] = 0.0

    def force(self, cell: Cell, now: float, state: int, why: str) -> None:
        """Change to a state, whatever the state is now."""
        cell[WAIT] = cell[TRIPS] = 0.0
        self._go(cell, now, state, why=why)

    def _probed(self, cell: Cell, now: float, probe: Probe, *, failed: bool, slow: bool) -> None:
        if not _has_its_place(cell, probe):
            return
        if failed or slow:
            self._trip(cell, now, "a probe failed" if failed else "a probe was slow")
            return
        cell[PLACES + probe.place] = DONE
        probes = self._rules.probes
        if all(place == DONE for place in cell[PLACES : PLACES + probes]):
            self._go(cell, now, CLOSED, why=f"{probes} of {probes} probes went well")

    def _too_many(self, cell: Cell) -> str:
        rules = self._rules
        if (
            rules.failures_in_a_row is not None
            and cell[ROW] >= rules.failures_in_a_row
            and cell[SEEN] >= rules.least_of_a_row
        ):
            return f"{cell[ROW]:.0f} failures in a row"
        calls, failures, slow = self.window.totals(cell)
        if calls < rules.least:
            return ""
        if rules.failure_ratio is not None and failures / calls >= rules.failure_ratio:
            return f"{failures} of {calls} calls failed"
        if rules.slow_after is not None and slow / calls >= rules.slow_ratio:
            return f"{slow} of {calls} calls took over {rules.slow_after:g} s"
        return ""

    def _trip(self, cell: Cell, now: float, why: str) -> None:
        # What failed again sooner than it was waited for has not recovered: its wait grows.
        if cell[STATE] == CLOSED and now - cell[SINCE] >= cell[WAIT]:
            cell[TRIPS] = 0.0
        cell[TRIPS] += 1.0
        wait = cell[WAIT] = self._rules.wait_of(int(cell[TRIPS]))
        # "Equal jitter": half of it is sure to pass, so that an open breaker gives some rest.
        wait *= 0.5 + 0.5 * self._chance.random()
        cell[UNTIL] = now + wait
        self._go(cell, now, OPEN, why=why, wait=wait)

    def _go(
        self, cell: Cell, now: float, state: int, *, why: str, wait: float | None = None
    ) -> None:
        old = int(cell[STATE])
        self._enter(cell, now, state, abs(cell[GATE]) + 1.0)
        self._changed(Change(old, state, generation_of(cell[GATE]), wait, why))

    def _enter(self, cell: Cell, now: float, state: int, generation: float) -> None:
        cell[GATE] = generation if state in LETS_ALL_IN else -generation
        cell[STATE], cell[SINCE] = float(state), now
        cell[ROW] = cell[SEEN] = 0.0
        cell[PLACES : PLACES + MOST_PROBES] = [0.0] * MOST_PROBES
        self.window.clear(cell, now)
        cell[QUIET] = min(self.window.turn(cell, now), now + _LOOKS)


def refused_for(cell: Cell | memoryview[float], now: float, rules: Rules) -> float | None:
    """Return seconds until a refused call may come again, None when it is not refused.

    Without the lock it may be out of date: then a refusal was right a moment ago,
    and anything else has to be looked at again with the lock.
    """
    state = cell[STATE]
    if state == FORCED_OPEN:
        return rules.max_wait
    if state == OPEN:
        left = cell[UNTIL] - now
        return left if left > 0.0 else None
    if free_place(cell, now, rules.probes) < 0:
        # They are under way; how they end, nobody knows yet.
        return rules.wait
    return None


def free_place(cell: Cell | memoryview[float], now: float, probes: int) -> int:
    """Return a place that is free, else the one that expired first, -1 when there is none."""
    found = -1
    for place in range(PLACES, PLACES + probes):
        if 0.0 <= cell[place] <= now and (found < 0 or cell[place] < cell[found]):
            found = place
    return found - PLACES if found >= 0 else -1


def generation_of(gate: float) -> int:
    """Return the generation that a gate stands for, as people count it."""
    return int(abs(gate)) % GENERATIONS


def _has_its_place(cell: Cell, probe: Probe) -> bool:
    # One that has expired is still its own until it is given to another.
    return cell[GATE] == probe.gate and cell[PLACES + probe.place] == probe.expires
