"""Queries as Graphite's targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

from falconkit.dashboards.path import Path
from falconkit.dashboards.published import Metric
from falconkit.dashboards.queries import Level, Quantile, Query, Rate, Share
from falconkit.dashboards.stores import Named, Store


class Targets:
    """Writes queries for the paths that a backend makes, by the very rule that makes them.

    A rule may leave labels out of the paths. Endpoints are then drawn as one line, for a query
    names all that its metric has; what needs another label to be right is not drawn.

    >>> from falconkit.dashboards.stores import ThroughStatsD
    >>> from falconkit.metrics.statsd import StatsD
    >>> count = Metric("counter", "request.count", ("endpoint", "outcome"))
    >>> targets = Targets(StatsD(None), ThroughStatsD("shop"))
    >>> list(targets.of(Rate(count, where=(("endpoint", ("add",)),), by=("endpoint",))))
    ['alias(sumSeries(stats.shop.request.count.add.*), "add")']

    Args:
        backend: Whose rule it is.
        store: Where what it sends is.
    """

    def __init__(self, backend: Named, store: Store) -> None:
        self._backend, self._store = backend, store

    def of(self, query: Query) -> Iterator[str]:
        """Yield the targets of a query, one a line where the lines are known."""
        if isinstance(query, Share):
            yield from self._shares(query)
            return
        for line in self._lines(query):
            nodes = line.path.nodes(query.by, line.series)
            if len(nodes) > 1:
                yield f'groupByNodes({line.series}, "sum", {", ".join(map(str, nodes))})'
            elif nodes:
                yield f'groupByNode({line.series}, {nodes[0]}, "sum")'
            else:
                yield f'alias({line.sum}, "{line.legend}")'

    def _shares(self, query: Share) -> Iterator[str]:
        wholes = {line.of: line.sum for line in self._lines(query.whole)}
        for line in self._lines(query.part):
            if line.of in wholes:
                yield f'alias(divideSeries({line.sum}, {wholes[line.of]}), "{line.legend}")'

    def _lines(self, query: Rate | Level | Quantile) -> Iterator[_Line]:
        """Yield the lines, each with all that it selects."""
        told = [each for each in query.where if self._tells(query.metric, each[0])]
        if any(each not in told and each[0] != "endpoint" for each in query.where):
            return
        known = [each for each in told if each[0] in query.by]
        rest = {label: values for label, values in told if label not in query.by}
        for of in product(*(values for _, values in known)):
            one = {label: (value,) for (label, _), value in zip(known, of, strict=True)}
            path = Path(self._backend.names, query.metric, {**rest, **one}, query.by)
            series = self._series(query, path.text)
            if series is not None:
                legend = " ".join(part for part in (*of, query.legend) if part)
                sums = "maxSeries" if isinstance(query, Quantile) else "sumSeries"
                several = "*" in series or "{" in series
                yield _Line(
                    of, legend or query.metric.name, path, series,
                    f"{sums}({series})" if several else series,
                )  # fmt: skip

    def _tells(self, metric: Metric, label: str) -> bool:
        return Path(self._backend.names, metric, {}, (label,)).tells(label)

    def _series(self, query: Rate | Level | Quantile, path: str) -> str | None:
        match query:
            case Rate():
                return self._store.rate(path)
            case Level():
                return self._store.level(path)
            case Quantile():
                return self._store.quantile(path, query.q)


@dataclass(frozen=True, slots=True)
class _Line:
    """One line of a graph.

    Attributes:
        of: The values of the labels that tell it from others.
        legend: What it is called.
        path: Which series it is of.
        series: These series.
        sum: The same as one; of quantiles, which do not add up, the highest.
    """

    of: tuple[str, ...]
    legend: str
    path: Path
    series: str
    sum: str
