"""Series as dotted paths, a number each: for receivers that know no labels and no histograms."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

from falconkit.errors import ConfigurationError
from falconkit.metrics.distribution import Distribution
from falconkit.metrics.sample import Kind, Labels, Sample, SeriesKey, summed

NameOf = Callable[[str, Labels], Iterable[str]]
"""The rule by which labels reach a path: the paths under which one series is counted."""

QUANTILES: Final = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}

_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.;=-]")
_UNFIT_VALUE: Final = re.compile(r"[^A-Za-z0-9_-]")
_UNFIT_TAG: Final = re.compile(r"[;\s]|^~")
_OF_HISTOGRAM = ("count", "sum", *QUANTILES)


def dotted(name: str, labels: Labels) -> tuple[str, ...]:
    """Count a labelled series under the metric's path and under its own: the default rule.

    >>> dotted("request.count", (("endpoint", "add"), ("outcome", "ok")))
    ('request.count', 'request.count.add.ok')
    """
    if not labels:
        return (name,)
    return name, ".".join([name, *(_UNFIT_VALUE.sub("_", value) for _, value in labels)])


def tagged(name: str, labels: Labels) -> tuple[str, ...]:
    """Keep labels as Graphite's tags (since 1.1), of which ``seriesByTag`` makes any sum.

    >>> tagged("request.count", (("endpoint", "add"), ("outcome", "ok")))
    ('request.count;endpoint=add;outcome=ok',)
    """
    return (";".join([name, *(f"{each}={_UNFIT_TAG.sub('_', value)}" for each, value in labels)]),)


class Paths:
    """Turns samples into paths and numbers.

    A counter is its total, a gauge its value; a histogram has ``count`` and ``sum``, which are
    totals too, and the quantiles of what was observed lately, none when nothing was.
    """

    def __init__(self, name_of: NameOf) -> None:
        self._keys = lru_cache(maxsize=65536)(self._keys_of)
        self._name_of = name_of
        self._taken: dict[str, str] = {}

    def check(self, kind: Kind, name: str, labels: tuple[str, ...], /) -> None:
        """Refuse a metric whose path would be another's too.

        Raises:
            ConfigurationError: Both would write to one path.
        """
        mine = [f"{name}.{each}" for each in _OF_HISTOGRAM] if kind == "histogram" else [name]
        for path in mine:
            if self._taken.get(path, name) != name:
                raise ConfigurationError(
                    f"{name} and {self._taken[path]} would both be shown as {path}: "
                    "give one of them another name"
                )
        self._taken |= dict.fromkeys(mine, name)

    def names(self, name: str, labels: Labels) -> list[str]:
        """Return the paths under which a series is counted; a histogram's go on from there."""
        return list(dict.fromkeys(_fit(path) for path in self._name_of(name, labels)))

    def points(
        self, samples: Sequence[Sample], lately: Sequence[Sample]
    ) -> Iterator[tuple[str, float]]:
        """Yield each path with its number."""
        # PERF: numbers are added up, and buckets only where quantiles are asked for: each
        # histogram has a path of its own, and one that all have.
        yield from self._numbers(samples)
        for each in self._renamed([one for one in lately if one.kind == "histogram"]):
            if isinstance(each.value, Distribution):
                sizes = each.value.quantiles(tuple(QUANTILES.values()))
                for name, size in zip(QUANTILES, sizes, strict=False):  # none of nothing
                    yield _of(each.name, name), size

    def _numbers(self, samples: Sequence[Sample]) -> Iterator[tuple[str, float]]:
        plain: dict[SeriesKey, float] = {}
        seen: dict[SeriesKey, list[float]] = {}
        for each in samples:
            value, keys = each.value, self._keys(each.key)
            if isinstance(value, Distribution):
                for key in keys:
                    both = seen.setdefault(key, [0.0, 0.0])
                    both[0] += value.count
                    both[1] += value.sum
            else:
                for key in keys:
                    plain[key] = plain.get(key, 0.0) + value
        for key, number in plain.items():
            yield key.name, number
        for key, (count, total) in seen.items():
            yield _of(key.name, "count"), count
            yield _of(key.name, "sum"), total

    def _renamed(self, samples: Sequence[Sample]) -> Iterable[Sample]:
        named = ((key, each.value) for each in samples for key in self._keys(each.key))
        return summed(named).values()

    def _keys_of(self, key: SeriesKey) -> list[SeriesKey]:
        names = self.names(key.name, key.labels)
        return [key._replace(name=name, labels=()) for name in names]


def _fit(path: str) -> str:
    name, *tags = path.split(";")
    return ";".join([_UNFIT.sub("_", name) or "_", *tags])


def _of(path: str, what: str) -> str:
    name, semicolon, tags = path.partition(";")
    return f"{name}.{what}{semicolon}{tags}"
