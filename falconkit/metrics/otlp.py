"""Show metrics to an OpenTelemetry collector, by OpenTelemetry's own exporter (extra ``otlp``)."""

from __future__ import annotations

import math
import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError, UpstreamUnavailable
from falconkit.extras import needing
from falconkit.metrics.distribution import Distribution, value_of
from falconkit.metrics.sample import Sample
from falconkit.posting import timed_session

if TYPE_CHECKING:
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.sdk.metrics.export import Metric, MetricsData

_SCALE: Final = 6
"""Buckets grow by ``2 ** 2**-6``, 1.1 %: a value is at most 0.6 % from its bucket's middle."""

_MOST_BUCKETS: Final = 320
_UNITS: Final = {"byte": "By"}
_UNKNOWN_START: Final = 0


class OTLPMetrics:
    """A backend that shows totals to a collector, for `Metrics.add_backend`.

    A stream has one writer in OpenTelemetry's data model, so the totals of the host go as
    cumulative sums, gauges and exponential histograms, from one worker an interval. The
    start of the totals is not told; that they go back tells a new one.

    >>> OTLPMetrics("http://collector:4318/v1/metrics", service="shop").interval
    10.0

    Args:
        url: Where the collector takes metrics, path and all; None or ``""``: nothing is sent.
        service: ``service.name``.
        attributes: Further ones of the resource. ``service.instance.id`` is the host's name
            unless it is given: no two hosts may be the same.
        headers: Sent with each export.
        timeout: Seconds to deliver, the exporter's own tries included.
        interval: Seconds between two exports.
        clock: What time is read from.

    Raises:
        ConfigurationError: The exporter is not installed, or a value cannot be used.
    """

    name = "otlp"

    def __init__(
        self,
        url: str | None,
        *,
        service: str,
        attributes: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 2.0,
        interval: float = 10.0,
        clock: Clock = system_clock,
    ) -> None:
        with needing("otlp"):
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        if not (interval > 0 and timeout > 0):
            raise ConfigurationError(f"give interval and timeout > 0, got {interval} and {timeout}")
        if not service:
            raise ConfigurationError("give the service's name, as in service='shop'")
        self.url, self.interval = url, interval
        self._resource = {
            "service.name": service,
            "service.instance.id": socket.gethostname(),
            **(attributes or {}),
        }
        # A connection each time, and so a look-up: a kept one stays where a name has led once.
        sent = {**(headers or {}), "Connection": "close"}
        self._make = partial(OTLPMetricExporter, url, headers=sent, timeout=math.ceil(timeout))
        self._clock = clock
        self._exporter: OTLPMetricExporter | None = None
        self._pid = 0

    def show(self, samples: Sequence[Sample], lately: Sequence[Sample], /) -> None:
        """Export the totals.

        Raises:
            UpstreamUnavailable: The collector did not take them.
        """
        if not self.url or not samples:
            return
        from opentelemetry.sdk.metrics.export import MetricExportResult

        if self._exporter is None or self._pid != os.getpid():
            # A connection that was open at the fork is the parent's.
            self._exporter, self._pid = self._make(session=timed_session()), os.getpid()
        try:
            result = self._exporter.export(self.data(samples))
        except OSError as ex:  # what older exporters let through of a collector that is away
            raise UpstreamUnavailable(f"{self.url}: {ex}", upstream=self.name) from ex
        if result is not MetricExportResult.SUCCESS:
            raise UpstreamUnavailable(f"{self.url} did not take the metrics", upstream=self.name)

    def close(self) -> None:
        """Close the connection."""
        exporter, self._exporter = self._exporter, None
        if exporter is not None and self._pid == os.getpid():
            exporter.shutdown()

    def data(self, samples: Sequence[Sample]) -> MetricsData:
        """Return samples as OpenTelemetry's exporters take them."""
        from opentelemetry.sdk.metrics.export import MetricsData, ResourceMetrics, ScopeMetrics
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        at = int(self._clock.time() * 1e9)
        scope = ScopeMetrics(InstrumentationScope("falconkit"), list(_metrics(samples, at)), "")
        resource = ResourceMetrics(Resource(dict(self._resource)), [scope], "")
        return MetricsData([resource])


def _metrics(samples: Sequence[Sample], at: int) -> Iterator[Metric]:
    from opentelemetry.sdk.metrics import export

    cumulative = export.AggregationTemporality.CUMULATIVE
    ordered = sorted(samples, key=lambda each: each.key)
    for (kind, name, unit), some in groupby(ordered, key=lambda each: each.key[:3]):
        data: Any
        points = [point for each in some for point in _points(each, at)]
        if kind == "counter":
            data = export.Sum(points, cumulative, is_monotonic=True)
        elif kind == "gauge":
            data = export.Gauge(points)
        else:
            data = export.ExponentialHistogram(points, cumulative)
        if points:
            yield export.Metric(name, "", _UNITS.get(unit, unit), data)


def _points(sample: Sample, at: int) -> Iterator[Any]:
    from opentelemetry.sdk.metrics import export

    value, labels = sample.value, dict(sample.labels)
    if not isinstance(value, Distribution):
        yield export.NumberDataPoint(labels, _UNKNOWN_START, at, value)
    elif value.count:
        scale, offset, counts = exponential(value)
        sizes = [value_of(bucket) for bucket in (min(value.buckets), max(value.buckets))]
        yield export.ExponentialHistogramDataPoint(
            attributes=labels,
            start_time_unix_nano=_UNKNOWN_START,
            time_unix_nano=at,
            count=value.count,
            sum=value.sum,
            scale=scale,
            zero_count=value.buckets.get(0, 0),
            positive=export.Buckets(offset, counts),
            negative=export.Buckets(0, []),
            flags=0,
            min=sizes[0],
            max=sizes[1],
        )


def exponential(seen: Distribution) -> tuple[int, int, list[int]]:
    """Return scale, offset and counts of OpenTelemetry's exponential histogram.

    Bucket ``i`` holds the values over ``base**i`` up to ``base**(i + 1)``, where ``base`` is
    ``2 ** 2**-scale``. A wide range has a smaller scale, so that there are 320 buckets at most.

    >>> exponential(Distribution.of([1.5, 1.5, 3.0]))[2].count(0) < 320
    True
    """
    middles = [(value_of(bucket), count) for bucket, count in seen.buckets.items() if bucket > 0]
    for scale in range(_SCALE, -1, -1):
        found: dict[int, int] = {}
        for middle, count in middles:
            at = math.ceil(math.log2(middle) * 2.0**scale) - 1
            found[at] = found.get(at, 0) + count
        if not found:
            return scale, 0, []
        first, last = min(found), max(found)
        if last - first < _MOST_BUCKETS:
            break
    return scale, first, [found.get(at, 0) for at in range(first, last + 1)]
