"""The gate of a breaker: what calls pass on their way in and out."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TypeVar

from falconkit.circuitbreaker.cell import FORCED_CLOSED, GATE, NAMES, QUIET, STATE, WIDTH, Cell
from falconkit.circuitbreaker.machine import (
    GENERATIONS,
    Chance,
    Change,
    Machine,
    Probe,
    Ticket,
    refused_for,
)
from falconkit.circuitbreaker.news import News
from falconkit.circuitbreaker.private import Record, Step
from falconkit.circuitbreaker.rules import Rules
from falconkit.circuitbreaker.verdict import IsFailure, is_failure
from falconkit.clock import Clock
from falconkit.errors import CircuitOpen
from falconkit.events import BreakerChanged, BreakerSeen, Events

R = TypeVar("R")

_BUSY = 0.1  # seconds until a lock that could not be had is tried again


class Gate:
    """The state of one breaker as this process sees it. Threads may share it.

    Most calls meet a breaker that is closed and go well. `guard` sees to them by
    itself, in `record`, without a lock; everybody else comes by `enter` and `leave`.

    Attributes:
        record: The state.
        known: What ``record.cells[GATE]`` was when it last let every call in.
        slow_after: Seconds above which a call is slow, ``inf`` when none is.
        judges_answers: Whether `judge` has to be asked of what calls return.
        now: Reads the clock.
    """

    def __init__(
        self,
        name: str,
        rules: Rules,
        record: Record,
        *,
        number: int,
        chance: Chance,
        clock: Clock,
        is_failure: IsFailure,
        events: Events | None,
    ) -> None:
        """Open nothing yet.

        Args:
            name: The breaker's.
            rules: The breaker's.
            record: Where the state is.
            number: Generations begin at one of their own for each key, so that it is
                noticed when the record has been given to another.
            chance: What jitter is drawn from.
            clock: Whose seconds count.
            is_failure: What the outcomes of calls mean.
            events: Who hears of changes; the listeners of the calls when None.
        """
        self.record = record
        self.known = math.nan
        self.slow_after = math.inf if rules.slow_after is None else rules.slow_after
        self.judges_answers = is_failure is not _BY_DEFAULT
        self.now = clock.monotonic
        self._name = name
        self._rules = rules
        self._is_failure = is_failure
        self._events = events
        self._news = News()
        self._seen = math.nan
        self._told = -1
        first = number * GENERATIONS + 1
        self.machine = Machine(rules, chance, first, self._changed)

    def enter(self, events: Events) -> Ticket:
        """Let a call in that meets another gate than the known one.

        Raises:
            CircuitOpen: It may not go on.
        """
        now = self.now()
        cells = self.record.opened()
        if cells[GATE] != self._seen or now >= cells[QUIET]:
            cells = self._change(now, lambda cell: self.record.opened())
        try:
            if cells[GATE] > 0.0:
                return cells[GATE]
            # Without the lock: there may be thousands of these a second.
            wait = refused_for(cells, now, self._rules)
            if wait is None:
                step = self._step(now, lambda cell: self.machine.admit(cell, now))
                return self.record.hand_out(step)
        except TimeoutError:
            wait = _BUSY
        finally:
            self._tell(events)
        raise CircuitOpen(retry_after=wait)

    def judge(self, outcome: object) -> bool | None:
        """Return what a call's outcome means, by a function that may itself fail."""
        try:
            failed = self._is_failure(outcome)
            return None if failed is None else bool(failed)
        except Exception:
            logging.getLogger("falconkit.circuitbreaker").exception(
                "is_failure of the breaker %r failed: falconkit's own decides", self._name
            )
            return _BY_DEFAULT(outcome)

    def leave(self, events: Events, ticket: Ticket, failed: bool | None, began: float) -> None:
        """Take in the outcome of a call that had more to do than to count itself.

        Args:
            events: The listeners of the call.
            ticket: What it was let in with.
            failed: What `judge` said of it.
            began: When it began.
        """
        now = self.now()
        if isinstance(ticket, Probe):
            if failed is None:
                probe = ticket
                self._change(now, lambda cell: self.machine.give_back(cell, probe))
                return
        elif failed is None or self._comes_late(ticket, now):
            return
        slow = now - began > self.slow_after

        def settle(cell: Cell) -> None:
            self.machine.settle(cell, now, ticket, failed=failed, slow=slow)

        self._change(now, settle)
        self._tell(events)

    def force(self, state: int, why: str, events: Events | None = None) -> None:
        """Change to ``state``, whatever it is now; ``events`` hear of it, if nobody else does."""
        now = self.now()
        self._change(now, lambda cell: self.machine.force(cell, now, state, why))
        events = events if self._events is None else self._events
        if events is not None:
            self._tell(events)

    def look(self) -> tuple[Cell, float]:
        """Return a copy of the state as it is now, and the time; nothing is changed."""
        now, cells = self.now(), self.record.opened()
        cell: Cell = [*cells[:WIDTH].tolist()]
        self.machine.catch_up(cell, now, sum(cells[WIDTH:].tolist()))
        return cell, now

    def _comes_late(self, gate: float, now: float) -> bool:
        """Return whether a call's state has ended, or its outcome is of no interest."""
        cells = self.record.opened()
        return cells[GATE] != gate or (cells[STATE] == FORCED_CLOSED and now < cells[QUIET])

    def _change(self, now: float, change: Callable[[Cell], R]) -> R:
        return self.record.change(self._step(now, change))

    def _step(self, now: float, change: Callable[[Cell], R]) -> Step[R]:
        def step(cell: Cell, counted: float) -> R:
            self.machine.catch_up(cell, now, counted)
            result = change(cell)
            if self.record.alone:
                cell[QUIET] = min(cell[QUIET], now + _BUSY)
            self._note(cell)
            return result

        return step

    def _note(self, cell: Cell) -> None:
        gate, state = cell[GATE], int(cell[STATE])
        self._seen = gate
        self.known = gate if gate > 0.0 else math.nan
        if state != self._told:
            self._told = state
            self._news.add(BreakerSeen(self._name, NAMES[state]))

    def _changed(self, change: Change) -> None:
        old, new = NAMES[change.old], NAMES[change.new]
        self._news.add(
            BreakerChanged(self._name, old, new, change.wait, change.why, change.generation)
        )

    def _tell(self, events: Events) -> None:
        if self._news:
            self._news.tell(events if self._events is None else self._events)


_BY_DEFAULT: IsFailure = is_failure
