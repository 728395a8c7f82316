"""OpenTelemetry metrics: the collector's protocol, decoded by its own protobufs."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.metrics.v1.metrics_pb2 import AggregationTemporality

from falconkit.arena import Arena
from falconkit.errors import ConfigurationError, UpstreamUnavailable
from falconkit.metrics import Distribution, Metrics
from falconkit.metrics.otlp import OTLPMetrics
from falconkit.metrics.otlp_request import exponential
from falconkit.metrics.sample import Labels
from falconkit.testing import ManualClock
from falconkit.testing.conform_metrics import LAWS, Arrived, Quantile, Subject
from tests.services import free_port
from tests.tracing.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def metrics(arena: Arena) -> Iterator[Metrics]:
    metrics = Metrics(arena=arena)
    yield metrics
    metrics.close()


def shown_to(receiver: Receiver, metrics: Metrics, **options: Any) -> OTLPMetrics:
    url = f"{receiver.url}/v1/metrics"
    backend = OTLPMetrics(url, **({"service": "shop", "interval": 3600} | options))
    metrics.add_backend(backend)
    return backend


def last(receiver: Receiver) -> Any:
    (resource,) = ExportMetricsServiceRequest.FromString(receiver.posts[-1][2]).resource_metrics
    return resource


def key(name: str, labels: Labels) -> str:
    return json.dumps([name, *sorted(map(list, labels))])


def series(name: str, point: Any) -> str:
    return key(name, tuple((each.key, each.value.string_value) for each in point.attributes))


def quantile(point: Any) -> Quantile:
    """Return the quantile function of an exponential histogram, by its buckets' middles."""
    base = 2 ** (2**-point.scale)

    def at(q: float) -> float | None:
        passed = point.zero_count
        if point.count and passed >= q * point.count:
            return 0.0
        for index, count in enumerate(point.positive.bucket_counts):
            passed += count
            if passed and passed >= q * point.count:
                return float(base ** (point.positive.offset + index + 0.5))
        return None

    return at


def arrived(receiver: Receiver) -> Arrived:
    counters: dict[str, float] = {}
    gauges: dict[str, float] = {}
    counts: dict[str, float] = {}
    quantiles: dict[str, Quantile] = {}
    if not receiver.posts:
        return Arrived()
    for metric in last(receiver).scope_metrics[0].metrics:
        for point in metric.sum.data_points:
            for title in {series(metric.name, point), key(metric.name, ())}:
                counters[title] = counters.get(title, 0.0) + point.as_double
        for point in metric.gauge.data_points:
            gauges[series(metric.name, point)] = point.as_double
        for point in metric.exponential_histogram.data_points:
            counts[series(metric.name, point)] = point.count
            quantiles[series(metric.name, point)] = quantile(point)
    return Arrived(counters, gauges, counts, quantiles)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law: Callable[[Subject], None], receiver: Receiver, metrics: Metrics) -> None:
    shown_to(receiver, metrics)
    law(Subject(metrics, lambda: arrived(receiver), key))


def test_what_a_collector_gets(receiver: Receiver, metrics: Metrics) -> None:
    attributes = {"service.instance.id": "web-1", "deployment.environment": "prod"}
    clock = ManualClock(time=1_750_000_000.0)
    shown_to(receiver, metrics, attributes=attributes, headers={"x-key": "k"}, clock=clock)
    metrics.counter("calls", ("endpoint",)).labels("é").add(3)
    for value in (0.0, 0.5, 0.5, 8.0):
        metrics.histogram("t").observe(value)
    metrics.histogram("size", unit="byte").observe(0)
    metrics.flush()
    path, headers, _ = receiver.posts[-1]
    assert (path, headers["x-key"]) == ("/v1/metrics", "k")
    resource = last(receiver)
    assert {each.key: each.value.string_value for each in resource.resource.attributes} == {
        "service.name": "shop",
        **attributes,
    }
    (scope,) = resource.scope_metrics
    assert scope.scope.name == "falconkit"
    calls, size, seconds = scope.metrics
    assert [(each.name, each.unit) for each in scope.metrics] == [
        ("calls", ""),
        ("size", "By"),
        ("t", "s"),
    ]
    cumulative = AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE
    assert (calls.sum.is_monotonic, calls.sum.aggregation_temporality) == (True, cumulative)
    assert seconds.exponential_histogram.aggregation_temporality == cumulative
    (point,) = seconds.exponential_histogram.data_points
    assert point.time_unix_nano == 1_750_000_000_000_000_000
    assert (point.count, point.sum, point.zero_count) == (4, 9.0, 1)
    assert (point.min, point.max) == pytest.approx((0, 8), rel=0.01)
    assert sum(point.positive.bucket_counts) == 3
    (empty,) = size.exponential_histogram.data_points
    assert (empty.zero_count, list(empty.positive.bucket_counts)) == (1, [])


@given(st.lists(st.floats(min_value=0, max_value=1e12), max_size=50))
def test_exponential_buckets_hold_every_value(values: list[float]) -> None:
    seen = Distribution.of(values)
    scale, offset, counts = exponential(seen)
    assert len(counts) <= 320
    assert sum(counts) + seen.buckets.get(0, 0) == len(values)
    base = 2.0 ** (2.0**-scale)
    positive = sorted(value for value in values if value >= 1e-9)
    if positive:
        assert base**offset <= positive[0] * 1.011
        assert positive[-1] <= base ** (offset + len(counts)) * 1.011
        assert math.isfinite(base)


def test_a_narrow_range_keeps_its_precision() -> None:
    assert exponential(Distribution.of([0.1, 1.0, 2.0]))[0] == 6
    assert exponential(Distribution.of([1e-9, 1e12]))[0] == 2


def test_a_collector_that_refuses_or_is_away(receiver: Receiver, metrics: Metrics) -> None:
    receiver.statuses = [400]
    backend = shown_to(receiver, metrics)
    metrics.gauge("depth").set(1)
    with pytest.raises(UpstreamUnavailable, match="did not take the metrics"):
        backend.show(metrics.read(), [])
    away = OTLPMetrics(f"http://127.0.0.1:{free_port()}/v1/metrics", service="shop", timeout=0.1)
    with pytest.raises(UpstreamUnavailable):
        away.show(metrics.read(), [])
    away.close()


def test_nothing_is_sent_to_nobody(metrics: Metrics) -> None:
    metrics.gauge("depth").set(1)
    OTLPMetrics(None, service="shop").show(metrics.read(), [])


@pytest.mark.parametrize("options", [{"service": ""}, {"interval": 0}, {"timeout": -1}])
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        OTLPMetrics("http://c/v1/metrics", **({"service": "shop"} | options))


def test_a_missing_extra_is_named(tmp_path: Path) -> None:
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").touch()
    use = "from falconkit.metrics.otlp import OTLPMetrics; OTLPMetrics('http://c', service='shop')"
    done = subprocess.run(
        [sys.executable, "-c", use],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "opentelemetry.proto is missing: pip install 'falconkit[otlp]'" in done.stderr
