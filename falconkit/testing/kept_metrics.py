"""A backend that tests read what was counted from."""

from __future__ import annotations

from collections.abc import Sequence

from falconkit.metrics.distribution import Distribution
from falconkit.metrics.sample import Sample, SeriesKey


class KeptMetrics:
    """Keeps what it is sent, by name and labels, for a test to read.

    >>> from falconkit.arena import Arena
    >>> from falconkit.metrics import Metrics
    >>> metrics, kept = Metrics(arena=Arena("run")), KeptMetrics()
    >>> metrics.add_backend(kept)
    >>> metrics.counter("mail.sent", ("kind",)).labels("invoice").add(2)
    >>> metrics.flush()
    >>> kept.counter("mail.sent", kind="invoice"), kept.counter("mail.sent")
    (2.0, 2.0)
    >>> metrics.close()

    Attributes:
        fails: While True, it raises instead, as a backend does that is away.
        flushes: How often it was sent something, or tried to be.
    """

    name = "kept"

    def __init__(self, *, interval: float = 3600.0) -> None:
        """Be sent to each ``interval`` seconds, and by `Metrics.flush`."""
        self.interval = interval
        self.fails = False
        self.flushes = 0
        self._kept: dict[SeriesKey, float | Distribution] = {}

    def send(self, samples: Sequence[Sample], /) -> None:
        """Keep what was counted.

        Raises:
            OSError: ``fails`` is True.
        """
        self.flushes += 1
        if self.fails:
            raise OSError("told to fail")
        for each in samples:
            key, value = each.key, each.value
            before = self._kept.get(key)
            if each.kind == "gauge" or before is None:
                before = Distribution() if isinstance(value, Distribution) else 0.0
            if isinstance(before, Distribution) and isinstance(value, Distribution):
                before.merge(value)
                self._kept[key] = before
            elif isinstance(before, float) and not isinstance(value, Distribution):
                self._kept[key] = before + value

    def close(self) -> None:
        """Nothing: what was kept can still be read."""

    def counter(self, name: str, **labels: str) -> float:
        """Return what was counted of all series that have these labels; 0 when there is none."""
        return self._sum("counter", name, labels)

    def gauge(self, name: str, **labels: str) -> float:
        """Return the sum of all series that have these labels; 0 when there is none."""
        return self._sum("gauge", name, labels)

    def histogram(self, name: str, **labels: str) -> Distribution:
        """Return what was observed in all series that have these labels."""
        found = Distribution()
        for key, value in self._kept.copy().items():
            if isinstance(value, Distribution) and _fits(key, "histogram", name, labels):
                found.merge(value)
        return found

    def _sum(self, kind: str, name: str, labels: dict[str, str]) -> float:
        kept = self._kept.copy().items()
        return sum(
            value
            for key, value in kept
            if not isinstance(value, Distribution) and _fits(key, kind, name, labels)
        )


def _fits(key: SeriesKey, kind: str, name: str, labels: dict[str, str]) -> bool:
    return (key.kind, key.name) == (kind, name) and labels.items() <= dict(key.labels).items()
