"""How the state of a breaker lies in a record of floats."""

from __future__ import annotations

from falconkit.circuitbreaker.rules import MOST_PROBES

GATE = 0
"""The generation: a number that no two states share. Below 0 in a state that may refuse."""

QUIET = 1
"""Until when a call that went well has nothing to do but count itself; seconds of the clock."""

STATE, SINCE, UNTIL, WAIT, TRIPS = 2, 3, 4, 5, 6
"""Which state, when it began and may end; the last wait before jitter, and how often it grew."""

ROW, SEEN, COUNTED = 7, 8, 9
"""Failures in a row, calls since it closed, and the sum of counters that was taken in."""

HEAD = 10
"""How far the window has moved on."""

PLACES = 11
"""A float for each probe: 0 is free, a time is when it expires, DONE went well."""

WINDOW = PLACES + MOST_PROBES
WINDOW_WIDTH = 40
WIDTH = WINDOW + WINDOW_WIDTH

DONE = -1.0

CLOSED, OPEN, HALF_OPEN, FORCED_OPEN, FORCED_CLOSED = range(5)

NAMES = ("closed", "open", "half-open", "forced-open", "forced-closed")
"""What the states are called in events, metrics and `CircuitBreaker.status`."""

LETS_ALL_IN = frozenset({CLOSED, FORCED_CLOSED})
MAY_REFUSE = frozenset({OPEN, HALF_OPEN, FORCED_OPEN})

Cell = list[float]
"""The floats of a record while it is being changed."""
