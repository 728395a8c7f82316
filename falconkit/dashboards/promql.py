"""Queries in Prometheus' language."""

from __future__ import annotations

import re
from collections.abc import Sequence

from falconkit.dashboards.queries import Level, Quantile, Query, Rate, Share
from falconkit.metrics.prometheus import Prometheus

_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class PromQL:
    """Writes queries for what one `Prometheus` exposes.

    Args:
        exposed: Says what the metrics are called.
        select: Matchers that stand in every selector, as in ``job="shop"``.
        window: Over which rates are taken, as in ``5m``.
        by: Labels that every sum keeps besides its own, as in ``job``.

    >>> from falconkit.arena import Arena
    >>> from falconkit.dashboards.published import Metric
    >>> from falconkit.metrics import Metrics
    >>> ql = PromQL(Prometheus(Metrics(arena=Arena("run"))), select=('job="shop"',), window="5m")
    >>> count = Metric("counter", "request.count", ("endpoint", "outcome"))
    >>> print(ql.of(Rate(count, where=(("endpoint", ("add", "get")),), by=("endpoint",))))
    sum by (endpoint) (rate(request_count_total{job="shop",endpoint=~"add|get"}[5m]))
    """

    def __init__(
        self, exposed: Prometheus, *, select: Sequence[str], window: str, by: Sequence[str] = ()
    ) -> None:
        self._exposed, self._select = exposed, tuple(select)
        self._window, self._by = window, tuple(by)

    def of(self, query: Query) -> str:
        """Return the expression of a query."""
        match query:
            case Rate():
                return self._sum(self.rate(query), query.by)
            case Level():
                return self._sum(self._series(query), query.by)
            case Quantile():
                buckets = self._sum(f"rate({self._series(query, '_bucket')}[{self._window}])",
                                    ("le", *query.by))  # fmt: skip
                return f"histogram_quantile({query.q:g}, {buckets})"
            case Share():
                part, whole = self.of(query.part), self.of(query.whole)
                if isinstance(query.part, Rate):
                    # Of what was never counted there is no series: that is none of it.
                    part = f"({part} or {whole} * 0)"
                return f"{part} / {whole}"

    def rate(self, query: Rate) -> str:
        """Return the rate of each series."""
        return f"rate({self._series(query, '_total')}[{self._window}])"

    def _sum(self, inner: str, by: Sequence[str]) -> str:
        kept = ", ".join((*self._by, *by))
        return f"sum by ({kept}) ({inner})" if kept else f"sum({inner})"

    def _series(self, query: Rate | Level | Quantile, suffix: str = "") -> str:
        name = self._exposed.exposed(query.metric.kind, query.metric.name)
        told = [*self._select, *(matcher(label, values) for label, values in query.where)]
        return f"{name}{suffix}{{{','.join(told)}}}" if told else f"{name}{suffix}"


def matcher(label: str, values: Sequence[str]) -> str:
    r"""Return what selects the series of some values of a label.

    >>> print(matcher("outcome", ["ok"]), matcher("endpoint", ["a.b", "c"]))
    outcome="ok" endpoint=~"a\\.b|c"
    """
    if len(values) == 1:
        return f'{label}="{values[0].translate(_ESCAPES)}"'
    either = "|".join(re.escape(each) for each in values)
    return f'{label}=~"{either.translate(_ESCAPES)}"'
