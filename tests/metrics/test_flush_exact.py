"""What a flush reads and writes by shortcuts is what the plain way gives."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from opentelemetry.exporter.otlp.proto.common.metrics_encoder import encode_metrics
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.sdk.metrics import export
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from falconkit.arena import Arena
from falconkit.arena.slotfile import differences
from falconkit.metrics import Distribution, Metrics
from falconkit.metrics.distribution import HIGHEST, PART, PARTS, TOP, value_of
from falconkit.metrics.otlp_request import Request, exponential, exported
from falconkit.metrics.prometheus import Prometheus
from falconkit.metrics.sample import Sample, SeriesKey
from falconkit.testing import KeptMetrics

WORKERS = 3
SIZES = st.floats(min_value=0.0, max_value=HIGHEST)
WORKER = st.integers(0, WORKERS - 1)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), WORKER, st.integers(0, 3), st.integers(0, 9)),
        st.tuples(st.just("observe"), WORKER, st.integers(0, 3), SIZES),
        st.tuples(st.just("gauge"), WORKER, st.integers(0, 3), st.integers(-9, 9)),
        st.tuples(st.just("flush"), WORKER, st.just(0), st.just(0)),
        st.tuples(st.just("fail"), WORKER, st.just(0), st.just(0)),
        st.tuples(st.just("die"), WORKER, st.just(0), st.just(0)),
        st.tuples(st.just("read"), WORKER, st.just(0), st.just(0)),
    ),
    max_size=60,
)


class Worker:
    """One worker: an arena of its own has a slot of its own."""

    def __init__(self, folder: Path, kept: KeptMetrics) -> None:
        self.arena = Arena(folder)
        self.metrics = Metrics(arena=self.arena)
        self.metrics.add_backend(kept)
        self.calls = self.metrics.counter("calls", ("who",))
        self.seconds = self.metrics.histogram("seconds", ("who",))
        self.depth = self.metrics.gauge("depth", ("who",))


class Plain:
    """What there must be."""

    def __init__(self) -> None:
        self.calls: dict[str, float] = {}
        self.seconds: dict[str, list[float]] = {}
        self.depth: dict[tuple[int, str], float] = {}


@contextmanager
def workers(folder: Path, kept: KeptMetrics) -> Iterator[list[Worker]]:
    made = [Worker(folder, kept) for _ in range(WORKERS)]
    try:
        yield made
    finally:
        for each in made:
            each.metrics.close()
            each.arena.close()


@settings(deadline=None, max_examples=40)
@given(STEPS)
def test_any_steps_of_several_workers(steps: list[tuple[str, int, int, float]]) -> None:
    kept, plain, seen = KeptMetrics(), Plain(), dict[str, float]()
    with tempfile.TemporaryDirectory() as folder, workers(Path(folder), kept) as some:
        for step, number, which, amount in steps:
            worker, who = some[number], f"who{which}"
            if step == "add":
                worker.calls.labels(who).add(amount)
                plain.calls[who] = plain.calls.get(who, 0.0) + amount
            elif step == "observe":
                worker.seconds.labels(who).observe(amount)
                plain.seconds.setdefault(who, []).append(amount)
            elif step == "gauge":
                worker.depth.labels(who).set(amount)
                plain.depth[number, who] = amount
            elif step == "die":
                kept.fails = True  # so that what is unsent is left to others
                worker.metrics.close()
                kept.fails = False
                worker.arena.close()
                some[number] = Worker(Path(folder), kept)
                plain.depth = {key: n for key, n in plain.depth.items() if key[0] != number}
            elif step == "read":
                holds(some, plain, seen)
            else:
                kept.fails = step == "fail"
                worker.metrics.flush()
                kept.fails = False
        holds(some, plain, seen)
        for worker in some:
            worker.metrics.flush()
            worker.metrics.flush()
    for who, count in plain.calls.items():
        assert kept.counter("calls", who=who) == count
    for who, values in plain.seconds.items():
        arrived = kept.histogram("seconds", who=who)
        assert arrived.buckets == Distribution.of(values).buckets
        assert math.isclose(arrived.sum, math.fsum(values), rel_tol=1e-9, abs_tol=1e-9)


def holds(some: list[Worker], plain: Plain, seen: dict[str, float]) -> None:
    """Every worker reads what there is, to the last digit the same, and never less."""
    reads = [each.metrics.read() for each in some]
    assert all(read == reads[0] for read in reads)
    told = {(each.name, each.labels[0][1]): each.value for each in reads[0]}
    for who, count in plain.calls.items():
        assert told["calls", who] == count
    for who, values in plain.seconds.items():
        value = told["seconds", who]
        assert isinstance(value, Distribution)
        assert value.buckets == Distribution.of(values).buckets
        assert math.isclose(value.sum, math.fsum(values), rel_tol=1e-9, abs_tol=1e-9)
        assert value.sum >= seen.get(who, 0.0)
        seen[who] = value.sum
    for who in {who for _, who in plain.depth}:
        assert told["depth", who] == sum(n for key, n in plain.depth.items() if key[1] == who)
    for each in some:
        every = each.arena.slots("metrics").read()
        gauges = {key: cells for key, cells in every.items() if key.startswith('["gauge"')}
        assert each.arena.slots("metrics").read(gauges_only=True) == gauges


CELL = st.one_of(
    st.just(0.0),
    st.integers(0, 1 << 50).map(float),
    st.sampled_from([math.nan, math.inf, -math.inf, -3.0, 0.25]),
)
PART_CELLS = st.lists(CELL, min_size=1, max_size=PART + 3)


@given(st.lists(st.tuples(st.integers(0, PARTS - 1), PART_CELLS), min_size=1, max_size=5))
def test_parts_add_up_cell_by_cell(parts: list[tuple[int, list[float]]]) -> None:
    buckets: dict[int, int] = {}
    for part, cells in parts:
        for at, count in enumerate(cells[1 : PART + 1]):
            if 1 <= count < math.inf:
                bucket = part * PART + at
                buckets[bucket] = buckets.get(bucket, 0) + int(count)
    found = Distribution.of_parts(parts)
    assert found.buckets == buckets
    assert found.sum == math.fsum(cells[0] for _, cells in parts if math.isfinite(cells[0]))
    assert found == Distribution.of_parts(parts[::-1])


@given(st.lists(st.tuples(st.integers(0, PARTS - 1), PART_CELLS), max_size=5))
def test_grown_cells_add_up_as_whole_parts_do(parts: list[tuple[int, list[float]]]) -> None:
    found = Distribution()
    for part, cells in parts:
        found.add_part(part, differences(cells, [0.0] * len(cells)))
    whole = Distribution.of_parts(parts) if parts else Distribution()
    assert found.buckets == whole.buckets
    assert math.isclose(found.sum, whole.sum, abs_tol=1.0)


BUCKETS = st.dictionaries(st.integers(0, TOP), st.integers(1, 1000), max_size=30)


@given(BUCKETS, BUCKETS)
def test_since_is_the_difference(before: dict[int, int], more: dict[int, int]) -> None:
    after = Distribution(before)
    after.merge(Distribution(more))
    assert after.since(Distribution(before)).buckets == more


@given(BUCKETS, st.lists(st.floats(0, 1), max_size=5).map(sorted))
def test_quantiles_are_each_quantile(buckets: dict[int, int], qs: list[float]) -> None:
    seen = Distribution(buckets)
    assert list(seen.quantiles(qs)) == [seen.quantile(q) for q in qs if buckets]


@given(BUCKETS.filter(bool))
def test_prometheus_counts_what_a_bound_holds(buckets: dict[int, int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        metrics = Metrics(arena=Arena(folder))
        series = metrics.histogram("seconds")
        for bucket, count in buckets.items():
            for _ in range(min(count, 3)):
                series.observe(value_of(bucket))
        lines = Prometheus(metrics, buckets=(0.1, 1.0, 1e13)).text().splitlines()
    (sample,) = [Distribution({bucket: min(count, 3) for bucket, count in buckets.items()})]
    held = [int(line.rpartition(" ")[2]) for line in lines if "_bucket" in line]
    under = [sum(n for b, n in sample.buckets.items() if value_of(b) <= at) for at in (0.09, 0.9)]
    over = [sum(n for b, n in sample.buckets.items() if value_of(b) <= at) for at in (0.11, 1.1)]
    assert all(low <= got <= high for low, got, high in zip(under, held, over, strict=False))
    assert held[2:] == [sample.count, sample.count]


KEYS = [
    SeriesKey("counter", "calls", "", (("who", "é"),)),
    SeriesKey("counter", "calls", "", (("who", "b"), ("outcome", "ok"))),
    SeriesKey("gauge", "depth", "", ()),
    SeriesKey("histogram", "seconds", "s", (("who", "a"),)),
    SeriesKey("histogram", "size", "byte", ()),
]
FLUSH = st.tuples(
    st.integers(1, 1 << 62),
    *[st.floats(0, 1e12) if each.kind != "histogram" else BUCKETS for each in KEYS],
)


@given(st.lists(FLUSH, min_size=1, max_size=4))
def test_a_kept_request_is_what_opentelemetrys_encoder_writes(flushes: list[tuple]) -> None:
    request: Request | None = None
    for at, *amounts in flushes:
        values = [Distribution(n, 2.5) if isinstance(n, dict) else n for n in amounts]
        some = exported([Sample(*both) for both in zip(KEYS, values, strict=True)])
        keys = [each.key for each in some]
        if request is None or request.keys != keys:
            request = Request(keys, {"service.name": "shop"})
        text = request.text([each.value for each in some], at=at)
        assert ExportMetricsServiceRequest.FromString(text) == encode_metrics(data(some, at))


def data(samples: list[Sample], at: int) -> export.MetricsData:
    """Return samples as OpenTelemetry's own encoder takes them."""
    cumulative = export.AggregationTemporality.CUMULATIVE
    metrics: dict[str, export.Metric] = {}
    for each in samples:
        kind, name, unit, labels = each.key
        point: object
        if isinstance(each.value, Distribution):
            seen = each.value
            scale, offset, counts = exponential(seen)
            point = export.ExponentialHistogramDataPoint(
                attributes=dict(labels),
                start_time_unix_nano=0,
                time_unix_nano=at,
                count=seen.count,
                sum=seen.sum,
                scale=scale,
                zero_count=seen.buckets.get(0, 0),
                positive=export.Buckets(offset, counts),
                negative=export.Buckets(0, []),
                flags=0,
                min=value_of(min(seen.buckets)),
                max=value_of(max(seen.buckets)),
            )
        else:
            point = export.NumberDataPoint(dict(labels), 0, at, each.value)
        if name in metrics:
            metrics[name].data.data_points.append(point)
            continue
        holder: object = (
            export.Sum([point], cumulative, is_monotonic=True)
            if kind == "counter"
            else export.Gauge([point])
            if kind == "gauge"
            else export.ExponentialHistogram([point], cumulative)
        )
        metrics[name] = export.Metric(name, "", {"byte": "By"}.get(unit, unit), holder)
    scope = export.ScopeMetrics(InstrumentationScope("falconkit"), [*metrics.values()], "")
    resource = Resource({"service.name": "shop"})
    return export.MetricsData([export.ResourceMetrics(resource, [scope], "")])
