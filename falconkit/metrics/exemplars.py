"""What a bucket remembers of a slow call: the trace that it was in."""

from __future__ import annotations

import math
from typing import NamedTuple

from falconkit.clock import Clock
from falconkit.context import Span
from falconkit.metrics.sample import SeriesKey


class Exemplar(NamedTuple):
    """One observation that is remembered.

    Attributes:
        trace_id: Of the trace that it was made in.
        value: What was observed.
        at: When, in seconds of Unix time.
    """

    trace_id: str
    value: float
    at: float


class Exemplars:
    """The last exemplar of each series and size, in the memory of this process.

    A size is a power of two, so that one series has some forty of them at most.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[SeriesKey, dict[int, Exemplar]] = {}

    def keep(self, key: SeriesKey, value: float, span: Span | None) -> None:
        """Remember an observation instead of the last one of its size, if it has a trace."""
        # A trace that is not recorded cannot be looked at.
        if span is not None and span.trace_id and getattr(span, "sampled", True):
            sizes = self._kept.setdefault(key, {})
            sizes[math.frexp(value)[1]] = Exemplar(span.trace_id, value, self._clock.time())

    def of(self, key: SeriesKey) -> list[Exemplar]:
        """Return what is remembered of a series."""
        return list(self._kept.get(key, {}).copy().values())
