"""Counter, gauge and histogram: a metric each, with its series by label values."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from falconkit.errors import ConfigurationError
from falconkit.metrics.sample import Kind, SeriesKey, clean
from falconkit.metrics.series import CounterSeries, GaugeSeries, HistogramSeries, Shelf

S = TypeVar("S")

OTHER = "other"
"""The value of every label once a metric has as many series as it may have."""


class Instrument(Generic[S]):
    """A metric: its name, its labels, and its series, at most as many as it may have.

    Attributes:
        name: As in ``request.count``.
        label_names: As in ``("endpoint", "outcome")``.
    """

    kind: Kind
    _series_type: Callable[[Shelf, SeriesKey], S]

    def __init__(
        self,
        shelf: Shelf,
        name: str,
        label_names: tuple[str, ...],
        *,
        unit: str = "",
        max_series: int = 1000,
    ) -> None:
        self.name, self.label_names, self.unit = name, label_names, unit
        self._shelf, self._max = shelf, max_series
        self.forked()
        self._series: dict[tuple[str, ...], S] = {}
        self._plain = None if label_names else self.labels()

    def forked(self) -> None:
        """Begin anew in a forked child, whose parent may have held the lock."""
        self._lock = threading.Lock()

    def labels(self, *values: str, **named: str) -> S:
        """Return the series of some label values; keep it where the values stay the same.

        Values are taken in the order of ``label_names``, or by name. Their
        text is cut at 64 characters and cleaned of what cannot be printed. Past
        the metric's bound a new set of values becomes ``other``.

        Raises:
            ConfigurationError: There are more, fewer or other labels than declared.
        """
        # PERF: 0.1 us for values that are met again, 0.2 us when they come by name.
        try:
            if named:
                if values or len(named) != len(self.label_names):
                    raise self._unlike((*values, *named))
                values = tuple([named[label] for label in self.label_names])
            return self._series[values]
        except (KeyError, TypeError):
            if len(values) != len(self.label_names):
                raise self._unlike((*values, *named)) from None
            return self._find(values)

    def _unlike(self, given: tuple[str, ...]) -> ConfigurationError:
        return ConfigurationError(f"{self.name} has the labels {self.label_names}, got {given!r}")

    def _find(self, values: tuple[str, ...]) -> S:
        cleaned = tuple([clean(value) for value in values])
        full = False
        with self._lock:
            found = self._series.get(cleaned)
            if found is None:
                full = len(self._series) >= self._max
                if full:
                    cleaned = (OTHER,) * len(cleaned)
                found = self._series.get(cleaned) or self._make(cleaned)
        if full:
            self._shelf.folded(self.name)
        return found

    def _make(self, values: tuple[str, ...]) -> S:
        labels = tuple(zip(self.label_names, values, strict=True))
        key = SeriesKey(self.kind, self.name, self.unit, labels)
        new = self._series[values] = type(self)._series_type(self._shelf, key)
        return new

    @property
    def _only(self) -> S:
        if self._plain is None:
            raise ConfigurationError(
                f"{self.name} has labels: use {self.name}.labels{self.label_names!r} first"
            )
        return self._plain


class Counter(Instrument[CounterSeries]):
    """What only grows: calls, errors, bytes."""

    kind = "counter"
    _series_type = CounterSeries

    def add(self, amount: float = 1.0) -> None:
        """Count on a counter without labels."""
        self._only.add(amount)


class Gauge(Instrument[GaugeSeries]):
    """What goes up and down: calls in flight, the length of a queue."""

    kind = "gauge"
    _series_type = GaugeSeries

    def set(self, value: float) -> None:
        """Set a gauge without labels."""
        self._only.set(value)

    def add(self, amount: float = 1.0) -> None:
        """Raise or lower a gauge without labels."""
        self._only.add(amount)


class Histogram(Instrument[HistogramSeries]):
    """What is asked for by quantiles: seconds, sizes."""

    kind = "histogram"
    _series_type = HistogramSeries

    def observe(self, value: float) -> None:
        """Count a value on a histogram without labels."""
        self._only.observe(value)
