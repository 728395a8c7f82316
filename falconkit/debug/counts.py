"""The numbers of each endpoint, out of the metrics of all workers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final

from falconkit.debug.state import Exemplar, Latency
from falconkit.metrics import Distribution, Metrics, Sample
from falconkit.metrics.distribution import OFFSET, SCALE
from falconkit.metrics.sample import SeriesKey, clean

_WIDE: Final = 4
"""So many buckets are shown as one: a poll of a hundred endpoints is 50 kB, and not 200."""

_QUANTILES: Final = (0.5, 0.9, 0.99)


class Counts:
    """What `falconkit.metrics.measure` has counted, looked up by endpoint.

    >>> from falconkit.arena import Arena
    >>> metrics = Metrics(arena=Arena(directory=None))
    >>> metrics.counter("request.count", ("endpoint", "outcome")).labels("add", "ok").add(3)
    >>> Counts(metrics.read()).outcomes("request", "add")
    {'ok': 3}

    Args:
        samples: All series.
    """

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._by: dict[tuple[str, str], list[Sample]] = {}
        for each in samples:
            if each.labels and each.labels[0][0] == "endpoint":
                self._by.setdefault((each.name, each.labels[0][1]), []).append(each)

    def outcomes(self, prefix: str, endpoint: str) -> dict[str, int]:
        """Return how many calls ended in each way."""
        return self._split(f"{prefix}.count", endpoint)

    def kinds(self, prefix: str, endpoint: str) -> dict[str, int]:
        """Return how many errors of each kind there were."""
        return self._split(f"{prefix}.errors", endpoint)

    def in_flight(self, prefix: str, endpoint: str) -> int:
        """Return how many calls run now."""
        found = self._by.get((f"{prefix}.in_flight", clean(endpoint)), ())
        return max(0, round(sum(map(_number, found))))

    def latency(self, prefix: str, endpoint: str) -> Latency:
        """Return how long calls took."""
        for each in self._by.get((f"{prefix}.seconds", clean(endpoint)), ()):
            if isinstance(each.value, Distribution):
                return latency_of(each.value)
        return latency_of(Distribution())

    def _split(self, metric: str, endpoint: str) -> dict[str, int]:
        found = self._by.get((metric, clean(endpoint)), ())
        return {each.labels[1][1]: round(_number(each)) for each in found if len(each.labels) > 1}


def latency_of(seen: Distribution) -> Latency:
    """Return a distribution as the document has it.

    >>> latency_of(Distribution.of([0.1, 0.1, 2.0])).buckets
    [(0.104, 2), (2.01, 1)]
    """
    wide: dict[int, int] = {}
    for bucket, count in sorted(seen.buckets.items()):
        wide[bucket // _WIDE] = wide.get(bucket // _WIDE, 0) + count
    count = seen.count
    ranks = [max(1, math.ceil(q * count - 1e-9)) for q in _QUANTILES]
    p50, p90, p99 = seen.at_ranks(ranks) if count else (None, None, None)
    edges = [(_upper_edge(bucket), number) for bucket, number in wide.items()]
    return Latency(count, seen.sum, p50, p90, p99, edges)


def exemplars_of(metrics: Metrics, prefix: str, endpoint: str, most: int) -> list[Exemplar]:
    """Return the slow calls that this process remembers with their traces, the latest first."""
    key = SeriesKey("histogram", f"{prefix}.seconds", "s", (("endpoint", clean(endpoint)),))
    found = sorted(metrics.exemplars.of(key), key=lambda each: -each.at)
    return [Exemplar(each.value, each.trace_id, each.at) for each in found[:most]]


def total(outcomes: Mapping[str, int]) -> int:
    """Return how many calls there were."""
    return sum(outcomes.values())


def _upper_edge(bucket: int) -> float:
    return float(f"{math.exp(((bucket + 1) * _WIDE - OFFSET) / SCALE):.3g}")


def _number(sample: Sample) -> float:
    return 0.0 if isinstance(sample.value, Distribution) else sample.value
