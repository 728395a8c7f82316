"""Show metrics to Prometheus, which comes and reads them."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, groupby, pairwise
from typing import Final

from falconkit.errors import ConfigurationError
from falconkit.metrics import exposition
from falconkit.metrics.distribution import Distribution, bucket_of
from falconkit.metrics.exemplars import Exemplar
from falconkit.metrics.exposition import Bucket, Family, Point
from falconkit.metrics.registry import Metrics
from falconkit.metrics.sample import Kind, Sample, SeriesKey

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""The buckets of seconds: those of Prometheus' clients, and two below for what is quick."""

SIZES: Final = tuple(10.0**power for power in range(10))
"""The buckets of anything else: powers of ten up to a thousand millions."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_LABEL = re.compile(r"(?!__)[A-Za-z_][A-Za-z0-9_]{0,39}")
_MOST_BUCKETS = 100
_UNITS = {"s": "seconds", "byte": "bytes"}
_SUFFIXES: Mapping[Kind, tuple[str, ...]] = {
    "counter": ("", "_total", "_created"),
    "gauge": ("",),
    "histogram": ("", "_bucket", "_count", "_sum", "_created"),
}
_HELP = {
    "request.count": "Calls, by endpoint and outcome.",
    "request.errors": "Calls that failed, by endpoint and the error's class.",
    "request.seconds": "Seconds that calls took, by endpoint.",
    "request.in_flight": "Calls that are being served now, by endpoint.",
}


class Prometheus:
    """What Prometheus reads: the metrics of all workers of this host, whichever of them it asks.

    The numbers are read from the arena, so that they are exact, survive a worker,
    and leave no file for each process that ever ran. ``request.count``
    is shown as ``request_count_total``; a histogram by cumulative buckets: each value
    that is at most a bucket's bound is in it, and perhaps some up to 2 % over it.

    >>> from falconkit.arena import Arena
    >>> metrics = Metrics(arena=Arena("run"))
    >>> metrics.counter("request.count", ("endpoint",)).labels("add").add(3)
    >>> print(Prometheus(metrics).text(), end="")
    # HELP request_count_total Calls, by endpoint and outcome.
    # TYPE request_count_total counter
    request_count_total{endpoint="add"} 3.0
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        prefix: str = "",
        labels: Mapping[str, str] | None = None,
        buckets: Sequence[float] = SECONDS,
        buckets_of: Mapping[str, Sequence[float]] | None = None,
        help: Mapping[str, str] | None = None,
    ) -> None:
        """Say how ``metrics`` are shown.

        Args:
            metrics: What is shown.
            prefix: Put before every name, with a ``_``.
            labels: Stand on every series, before its own.
            buckets: The bounds of each histogram of seconds, ascending; other units
                have powers of ten.
            buckets_of: Bounds by the histogram's name, as in ``{"mail.size": (1e3, 1e6)}``.
            help: The help text by the metric's name.

        Raises:
            ConfigurationError: Something cannot be used, or a metric cannot be shown: one of
                its labels is Prometheus' own, or another's name becomes the same.
        """
        self._metrics = metrics
        self._prefix = f"{_fit(_NAME, prefix.rstrip('_'), 'prefix')}_" if prefix else ""
        self._labels = tuple(
            (_fit(_LABEL, label, "label"), str(value)) for label, value in (labels or {}).items()
        )
        self._seconds = _ascending("buckets", buckets)
        self._buckets_of = {
            name: _ascending(f"buckets_of[{name!r}]", each)
            for name, each in (buckets_of or {}).items()
        }
        self._help = {**_HELP, **(help or {})}
        self._shown: dict[str, str] = {}
        self._label_text = lru_cache(maxsize=65536)(self._text_of)
        metrics.add_check(self.check)

    def check(self, kind: Kind, name: str, labels: tuple[str, ...], /) -> None:
        """Refuse a metric that cannot be shown.

        Raises:
            ConfigurationError: A label or the name is taken.
        """
        own = {"le"} if kind == "histogram" else set()
        for label in labels:
            if label.startswith("__") or label in own or label in dict(self._labels):
                raise ConfigurationError(
                    f"{name}: the label {label!r} is taken in Prometheus (by itself, or by "
                    "labels= of every series): give it another name"
                )
        names = _names(kind, self.exposed(kind, name))
        for each in names:
            if self._shown.get(each, name) != name:
                raise ConfigurationError(
                    f"{name} and {self._shown[each]} both show {each} to Prometheus: "
                    "give one of them another name"
                )
        self._shown |= dict.fromkeys(names, name)

    def text(self) -> str:
        """Return the text format 0.0.4."""
        return exposition.text(self._families())

    def open_metrics(self) -> str:
        """Return OpenMetrics 1.0, with exemplars."""
        return exposition.open_metrics(self._families())

    def _families(self) -> Iterator[Family]:
        # PERF: 1,000 series, 100 of them histograms of 150 buckets: 4 ms to read, 4 to write.
        taken: set[str] = set()
        # What this process knows comes first: of another kind under the same name is only
        # what another version of the program left in the arena.
        samples = sorted(self._metrics.read(), key=lambda each: self._rank(each.key))
        for (kind, name, unit), found in groupby(samples, key=lambda each: each.key[:3]):
            shown = self.exposed(kind, name)
            while taken.intersection(_names(kind, shown)):
                shown += f"_{kind}"
            taken.update(_names(kind, shown))
            word = _UNITS.get(unit, "")
            bounds = self.bounds(name, unit)
            yield Family(
                name=shown,
                kind=kind,
                help=self._help.get(name, f"The {kind} {name}."),
                unit=word if word and shown.endswith(f"_{word}") else "",
                points=[self._point(each, bounds) for each in found],
            )

    def _rank(self, key: SeriesKey) -> tuple[bool, SeriesKey]:
        return not self._metrics.knows(key), key

    def bounds(self, name: str, unit: str) -> Sequence[float]:
        """Return the bounds of the buckets of a histogram.

        Args:
            name: The metric's.
            unit: As it was made with: ``s`` for seconds.
        """
        return self._buckets_of.get(name) or (self._seconds if unit == "s" else SIZES)

    def exposed(self, kind: Kind, name: str) -> str:
        """Return what a metric is called here, without ``_total``, ``_bucket`` and its like."""
        shown = self._prefix + name.replace(".", "_")
        return shown.removesuffix("_total") if kind == "counter" else shown

    def _point(self, sample: Sample, bounds: Sequence[float]) -> Point:
        labels, value = self._label_text(sample.labels), sample.value
        if not isinstance(value, Distribution):
            return Point(labels, value)
        remembered = self._metrics.exemplars.of(sample.key)
        return Point(labels, value.sum, list(_cumulative(value, bounds, remembered)))

    def _text_of(self, labels: tuple[tuple[str, str], ...]) -> str:
        return exposition.label_text((*self._labels, *labels))


def _cumulative(
    seen: Distribution, bounds: Sequence[float], remembered: Iterable[Exemplar]
) -> Iterator[Bucket]:
    # PERF: 13 us for 120 buckets and 14 bounds, 38 where each bucket is looked at in turn.
    order = sorted(seen.buckets)
    passed = [0, *accumulate(map(seen.buckets.__getitem__, order))]
    before = -math.inf
    for bound, last in _last_buckets(tuple(bounds)):
        latest = _latest(remembered, before, bound) if remembered else None
        yield Bucket(bound, passed[bisect_right(order, last)], latest)
        before = bound


@lru_cache(maxsize=256)
def _last_buckets(bounds: tuple[float, ...]) -> list[tuple[float, float]]:
    """Return each bound with the last of our buckets that it holds, and at the end no bound."""
    return [*((bound, bucket_of(bound)) for bound in bounds), (math.inf, math.inf)]


def _latest(remembered: Iterable[Exemplar], over: float, up_to: float) -> Exemplar | None:
    within = (each for each in remembered if over < each.value <= up_to)
    return max(within, key=lambda each: each.at, default=None)


def _names(kind: Kind, shown: str) -> list[str]:
    return [shown + suffix for suffix in _SUFFIXES[kind]]


def _fit(pattern: re.Pattern[str], text: str, what: str) -> str:
    if not isinstance(text, str) or not pattern.fullmatch(text):
        raise ConfigurationError(
            f"a {what} for Prometheus is letters, digits and '_', no digit first; got {text!r:.200}"
        )
    return text


def _ascending(what: str, bounds: Sequence[float]) -> tuple[float, ...]:
    given = tuple(bounds)
    if not (
        1 <= len(given) <= _MOST_BUCKETS
        and all(isinstance(each, (int, float)) and 0 < each < math.inf for each in given)
        and all(low < high for low, high in pairwise(given))
    ):
        raise ConfigurationError(
            f"{what}: give 1 to {_MOST_BUCKETS} ascending numbers over 0, got {bounds!r:.200}"
        )
    return tuple(map(float, given))
