"""A request of OpenTelemetry's protocol, whose messages are kept: only their numbers change."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import Any, Final

from falconkit.metrics.distribution import PART, PARTS, Distribution, value_of
from falconkit.metrics.sample import Kind, Labels, Sample, SeriesKey

_SCALE: Final = 6
"""Buckets grow by ``2 ** 2**-6``, 1.1 %: a value is at most 0.6 % from its bucket's middle."""

_MOST_BUCKETS: Final = 320
_UNITS: Final = {"byte": "By"}

_Write = Callable[[Any, int], None]
"""Writes a value into the point it is bound to, as of a time in nanoseconds."""


class Request:
    """What is exported, over and over, of the same series.

    The messages are those of OpenTelemetry's own protobufs.

    >>> key = SeriesKey("counter", "calls", "", (("endpoint", "add"),))
    >>> request = Request([key], {"service.name": "shop"})
    >>> request.text([3.0], at=1_750_000_000_000_000_000).count(b"endpoint")
    1

    Args:
        keys: The series, those of a metric side by side.
        resource: The attributes of who sends.
    """

    def __init__(self, keys: Sequence[SeriesKey], resource: Mapping[str, str]) -> None:
        from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

        self.keys = list(keys)
        self._message = metrics_service_pb2.ExportMetricsServiceRequest()
        told = self._message.resource_metrics.add()
        _label(told.resource.attributes, resource.items())
        scope = told.scope_metrics.add()
        scope.scope.name = "falconkit"
        self._writers: list[_Write] = []
        for (kind, name, unit), some in groupby(self.keys, key=lambda each: each[:3]):
            metric = scope.metrics.add(name=name, unit=_UNITS.get(unit, unit))
            points, writer = _points(metric, kind)
            for key in some:
                point = points.add()
                _label(point.attributes, key.labels)
                self._writers.append(writer(point))

    def text(self, values: Iterable[float | Distribution], *, at: int) -> bytes:
        """Return the request as it is sent.

        Args:
            values: One for each key.
            at: Of when they are, in nanoseconds since 1970.
        """
        # PERF: 0.2 ms for 900 counters, and 2.2 for 100 histograms of 120 buckets; 4.4 and 2.5 by
        # the exporter's encoder, which makes each message anew, once its own input is made.
        for write, value in zip(self._writers, values, strict=True):
            write(value, at)
        text: bytes = self._message.SerializeToString()
        return text


def exported(samples: Iterable[Sample]) -> list[Sample]:
    """Return what is exported: a histogram that saw nothing is not; ordered as `Request` wants."""
    found = [
        each for each in samples if not isinstance(each.value, Distribution) or each.value.buckets
    ]
    found.sort(key=lambda each: each.key)
    return found


def _points(metric: Any, kind: Kind) -> tuple[Any, Callable[[Any], _Write]]:
    from opentelemetry.proto.metrics.v1 import metrics_pb2

    if kind == "gauge":
        return metric.gauge.data_points, _number
    some, writer = (
        (metric.sum, _number) if kind == "counter" else (metric.exponential_histogram, _histogram)
    )
    some.aggregation_temporality = metrics_pb2.AGGREGATION_TEMPORALITY_CUMULATIVE
    if kind == "counter":
        some.is_monotonic = True
    return some.data_points, writer


def _label(attributes: Any, pairs: Iterable[tuple[str, str]] | Labels) -> None:
    for name, value in pairs:
        attributes.add(key=name).value.string_value = value


def _number(point: Any) -> _Write:
    def write(value: Any, at: int) -> None:
        point.time_unix_nano = at
        point.as_double = value

    return write


def _histogram(point: Any) -> _Write:
    def write(value: Any, at: int) -> None:
        buckets = value.buckets
        point.time_unix_nano = at
        point.count = value.count
        point.sum = value.sum
        point.zero_count = buckets.get(0, 0)
        point.min, point.max = value_of(min(buckets)), value_of(max(buckets))
        point.scale, offset, counts = exponential(value)
        if counts:
            point.positive.offset = offset
            point.positive.bucket_counts[:] = counts
        else:
            point.ClearField("positive")

    return write


def exponential(seen: Distribution) -> tuple[int, int, list[int]]:
    """Return scale, offset and counts of OpenTelemetry's exponential histogram.

    Bucket ``i`` holds the values over ``base**i`` up to ``base**(i + 1)``, where ``base`` is
    ``2 ** 2**-scale``. A wide range has a smaller scale, so that there are 320 buckets at most.

    >>> exponential(Distribution.of([1.5, 1.5, 3.0]))[2].count(0) < 320
    True
    """
    positive = seen.buckets
    if 0 in positive:
        positive = {bucket: count for bucket, count in positive.items() if bucket}
    if not positive:
        return _SCALE, 0, []
    low, high = min(positive), max(positive)
    scale = _SCALE
    while scale and _indices(scale)[high] - _indices(scale)[low] >= _MOST_BUCKETS:
        scale -= 1
    of = _indices(scale)
    first = of[low]
    counts = [0] * (of[high] - first + 1)
    for bucket, count in positive.items():
        counts[of[bucket] - first] += count
    return scale, first, counts


@lru_cache(maxsize=_SCALE + 1)
def _indices(scale: int) -> list[int]:
    """Return the exponential histogram's bucket for each bucket of ours."""
    # PERF: 1.3 ms once, instead of a logarithm for each bucket in each export.
    middles = [value_of(max(bucket, 1)) for bucket in range(PARTS * PART)]
    return [math.ceil(math.log2(middle) * 2.0**scale) - 1 for middle in middles]
