"""What ``/debug/vars`` shows: every metric of every worker of this host."""

from __future__ import annotations

from typing import cast

from falconkit.metrics.distribution import Distribution
from falconkit.metrics.registry import Metrics
from falconkit.metrics.sample import Sample, totals

Shown = int | float | dict[str, int | float | None]

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}


def expvar(metrics: Metrics) -> dict[str, Shown]:
    """Return the metrics as JSON takes them, sorted by name.

    A metric's own name shows the sum of its series, each series stands beside
    it. A histogram is shown by count, sum and quantiles, which are null, not
    some number, when nothing was observed.

    >>> from falconkit.arena import Arena
    >>> metrics = Metrics(arena=Arena("run"))
    >>> count = metrics.counter("request.count", ("endpoint",))
    >>> count.labels("add").add(3)
    >>> count.labels("get").add()
    >>> expvar(metrics)
    {'request.count': 4, 'request.count{endpoint=add}': 3, 'request.count{endpoint=get}': 1}
    """
    samples = metrics.read()
    shown = {_title(each): _shown(each) for each in (*totals(samples), *samples)}
    return dict(sorted(shown.items()))


def _title(sample: Sample) -> str:
    if not sample.labels:
        return sample.name
    return f"{sample.name}{{{','.join(f'{label}={value}' for label, value in sample.labels)}}}"


def _shown(sample: Sample) -> Shown:
    if not isinstance(sample.value, Distribution):
        return _number(sample.value)
    seen = sample.value
    shown: dict[str, int | float | None] = {"count": seen.count, "sum": seen.sum}
    return cast(Shown, shown | {name: seen.quantile(q) for name, q in _QUANTILES.items()})


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else value
