"""What a breaker shows of itself."""

from __future__ import annotations

from falconkit.circuitbreaker.cell import (
    GATE,
    NAMES,
    OPEN,
    PLACES,
    ROW,
    SINCE,
    STATE,
    TRIPS,
    UNTIL,
    Cell,
)
from falconkit.circuitbreaker.machine import Machine, generation_of

Status = dict[str, str | int | float | bool]


def status_of(cell: Cell, now: float, machine: Machine, probes: int) -> Status:
    """Return a cell, which was caught up, in words and numbers for people and for ``/debug``."""
    calls, failures, slow = machine.window.totals(cell)
    return {
        "state": NAMES[int(cell[STATE])],
        "generation": generation_of(cell[GATE]),
        "seconds": max(0.0, now - cell[SINCE]),
        "retry_after": max(0.0, cell[UNTIL] - now) if cell[STATE] == OPEN else 0.0,
        "trips": int(cell[TRIPS]),
        "calls": calls,
        "failures": failures,
        "slow": slow,
        "failures_in_a_row": int(cell[ROW]),
        "probes": sum(place > now for place in cell[PLACES : PLACES + probes]),
    }
