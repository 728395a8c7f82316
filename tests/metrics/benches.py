"""Metrics with a receiver to read back from, for the conformance suite."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from falconkit.arena import Arena
from falconkit.metrics import Metrics, expvar
from falconkit.metrics.cloudwatch import CloudWatch
from falconkit.metrics.cloudwatch_emf import CloudWatchEMF
from falconkit.metrics.dogstatsd import DogStatsD
from falconkit.metrics.sample import Labels
from falconkit.metrics.statsd import StatsD, dotted
from falconkit.metrics.telegraf import TelegrafStatsD
from falconkit.testing import wait_until
from falconkit.testing.conform_metrics import Arrived, Quantile, Subject
from falconkit.testing.kept_metrics import KeptMetrics
from falconkit.testing.statsd import StatsDSink
from falconkit.testing.tagged import TaggedSink, dogstatsd, telegraf
from tests.metrics.aws import NAMESPACE, Moto, Post, credentials, read
from tests.services import StatsDaemon, statsd_daemon
from tests.tracing.receiver import Receiver


def ranked(values: list[tuple[float, float]]) -> Quantile:
    """Return the quantile function of StatsD timings, as a daemon takes it: by values alone."""
    sizes = sorted(size / 1000 for size, _ in values)
    return lambda q: sizes[int(q * len(sizes))] if sizes else None


@contextmanager
def expvar_bench(folder: Path) -> Iterator[Subject]:
    metrics = Metrics(arena=Arena(folder))

    def title(name: str, labels: Labels) -> str:
        shown = ",".join(f"{label}={value}" for label, value in labels)
        return f"{name}{{{shown}}}" if labels else name

    def read() -> Arrived:
        shown = expvar(metrics)
        numbers = {name: each for name, each in shown.items() if not isinstance(each, dict)}
        groups = {name: each for name, each in shown.items() if isinstance(each, dict)}

        def quantile(name: str) -> Quantile:
            return lambda q: groups[name][f"p{round(q * 100)}"]

        return Arrived(
            counters=numbers,
            gauges=numbers,
            counts={name: each["count"] or 0 for name, each in groups.items()},
            quantiles={name: quantile(name) for name in groups},
        )

    yield Subject(metrics, read, title)


def first_or_own(name: str, labels: Labels) -> str:
    return dotted(name, labels)[-1]


@contextmanager
def sink_bench(folder: Path) -> Iterator[Subject]:
    with StatsDSink() as sink:
        metrics = Metrics(arena=Arena(folder))
        backend = StatsD("127.0.0.1", sink.port, interval=3600)
        metrics.add_backend(backend)

        def read() -> Arrived:
            timings = sink.timings()
            return Arrived(
                counters=sink.counters(),
                gauges=sink.gauges(),
                counts={name: sum(n for _, n in values) for name, values in timings.items()},
                quantiles={name: ranked(values) for name, values in timings.items()},
            )

        try:
            yield Subject(metrics, read, first_or_own)
        finally:
            metrics.close()
        assert all(len(each) < 1432 for each in sink.datagrams())


def tagged(name: str, labels: Labels) -> str:
    return json.dumps([name, [list(pair) for pair in labels]])


def tagged_arrived(sink: TaggedSink) -> Arrived:
    """Return what a sink has, by series, and under a name without tags what all its series have."""
    counters: dict[str, float] = {}
    for (name, labels), value in sink.counters().items():
        for key in {tagged(name, labels), tagged(name, ())}:
            counters[key] = counters.get(key, 0.0) + value
    values = {tagged(*series): each for series, each in sink.values().items()}
    return Arrived(
        counters=counters,
        gauges={tagged(*series): value for series, value in sink.gauges().items()},
        counts={name: sum(n for _, n in each) for name, each in values.items()},
        quantiles={name: weighted(each) for name, each in values.items()},
    )


def weighted(values: list[tuple[float, float]]) -> Quantile:
    """Return the quantile function of values that stand for several each."""

    def quantile(q: float) -> float | None:
        passed, count = 0.0, sum(n for _, n in values)
        for value, n in sorted(values):
            passed += n
            if passed >= q * count:
                return value
        return None

    return quantile


@contextmanager
def dogstatsd_bench(folder: Path, *, unix: bool = False) -> Iterator[Subject]:
    with tempfile.TemporaryDirectory() as short:
        path = f"{short}/dsd.socket" if unix else None
        with TaggedSink(dogstatsd, path=path) as sink:
            metrics = Metrics(arena=Arena(folder))
            host = f"unix://{path}" if unix else "127.0.0.1"
            metrics.add_backend(DogStatsD(host, sink.port or 8125, interval=3600))
            try:
                yield Subject(metrics, lambda: tagged_arrived(sink), tagged)
            finally:
                metrics.close()
            assert all(len(each) < (8192 if unix else 1432) for each in sink.datagrams())


@contextmanager
def telegraf_bench(folder: Path) -> Iterator[Subject]:
    with TaggedSink(telegraf) as sink:
        metrics = Metrics(arena=Arena(folder))
        metrics.add_backend(TelegrafStatsD("127.0.0.1", sink.port, interval=3600))

        def read() -> Arrived:
            found = tagged_arrived(sink)
            milliseconds = {
                tagged(*series): [(value / 1000, n) for value, n in each]
                for series, each in sink.values().items()
            }
            quantiles = {name: weighted(each) for name, each in milliseconds.items()}
            return replace(found, quantiles=quantiles)

        try:
            yield Subject(metrics, read, tagged)
        finally:
            metrics.close()
        assert all(len(each) < 1432 for each in sink.datagrams())


@contextmanager
def daemon_bench(folder: Path) -> Iterator[Subject]:
    with statsd_daemon() as daemon:
        metrics = Metrics(arena=Arena(folder))
        # The daemon's own console cuts a timer's values at 100.
        metrics.add_backend(StatsD("127.0.0.1", daemon.port, interval=3600, values=50))
        flushes = 0

        def read() -> Arrived:
            nonlocal flushes
            flushes += 1
            mark = metrics.counter(f"mark{flushes}")
            mark.add()
            metrics.flush()
            # One socket after the other: when the mark is there, so is all before it.
            wait_until(lambda: daemon.read("counters").get(f"mark{flushes}"))
            return arrived(daemon)

        try:
            yield Subject(metrics, read, first_or_own, counts=False)
        finally:
            metrics.close()


def arrived(daemon: StatsDaemon) -> Arrived:
    timers = {
        name: ranked([(value, 1.0) for value in values])
        for name, values in daemon.read("timers").items()
    }
    return Arrived(daemon.read("counters"), daemon.read("gauges"), {}, timers)


@contextmanager
def kept_bench(folder: Path) -> Iterator[Subject]:
    metrics, kept = Metrics(arena=Arena(folder)), KeptMetrics()
    metrics.add_backend(kept)

    def read() -> Arrived:
        series = {each.key for each in metrics.read()}
        asked = {(key.name, labels) for key in series for labels in (key.labels, ())}
        names = {name for name, _ in asked}
        return Arrived(
            counters={tagged(name, has): kept.counter(name, **dict(has)) for name, has in asked},
            gauges={tagged(name, ()): kept.gauge(name) for name in names},
            counts={tagged(name, ()): kept.histogram(name).count for name in names},
            quantiles={tagged(name, ()): kept.histogram(name).quantile for name in names},
        )

    try:
        yield Subject(metrics, read, tagged)
    finally:
        metrics.close()


@contextmanager
def emf_bench(folder: Path) -> Iterator[Subject]:
    metrics, lines = Metrics(arena=Arena(folder)), []
    metrics.add_backend(CloudWatchEMF("Shop", write=lines.append, interval=3600))
    try:
        yield Subject(metrics, lambda: emf_arrived(lines), tagged)
    finally:
        metrics.close()
    assert all(len(each.encode()) <= 4096 for each in lines)


def emf_arrived(lines: list[str]) -> Arrived:
    """Return what CloudWatch would extract from the lines, read as its specification says."""
    counters: dict[str, float] = {}
    gauges: dict[str, float] = {}
    values: dict[str, list[tuple[float, float]]] = {}
    for line in lines:
        root = json.loads(line)
        (directive,) = root.pop("_aws")["CloudWatchMetrics"]
        (dimensions,) = directive["Dimensions"]
        assert len(dimensions) <= 9
        assert 1 <= len(directive["Metrics"]) <= 100
        labels = tuple((name, root[name]) for name in dimensions)
        assert all(value.isascii() and value.strip() for _, value in labels)
        for metric in directive["Metrics"]:
            name, value = metric["Name"], root[metric["Name"]]
            if isinstance(value, dict):
                assert sum(value["Counts"]) == value["Count"]
                pairs = zip(value["Values"], value["Counts"], strict=True)
                values.setdefault(tagged(name, labels), []).extend(pairs)
            elif metric["Unit"] == "Count":
                for key in {tagged(name, labels), tagged(name, ())}:
                    counters[key] = counters.get(key, 0.0) + value
            else:
                gauges[tagged(name, labels)] = value
    return Arrived(
        counters=counters,
        gauges=gauges,
        counts={name: sum(n for _, n in each) for name, each in values.items()},
        quantiles={name: weighted(each) for name, each in values.items()},
    )


@contextmanager
def cloudwatch_bench(folder: Path) -> Iterator[Subject]:
    with credentials(), Receiver() as service:
        metrics = Metrics(arena=Arena(folder))
        metrics.add_backend(CloudWatch(NAMESPACE, interval=3600, endpoint_url=service.url))
        try:
            yield Subject(metrics, lambda: cloudwatch_arrived(service.posts), tagged)
        finally:
            metrics.close()


def cloudwatch_arrived(posts: list[Post]) -> Arrived:
    """Return what CloudWatch has of some calls."""
    counters: dict[str, float] = {}
    gauges: dict[str, float] = {}
    values: dict[str, list[tuple[float, float]]] = {}
    for metric in (metric for post in posts for metric in read(post)):
        labels = tuple((each["Name"], each["Value"]) for each in metric["Dimensions"])
        name, key = metric["MetricName"], tagged(metric["MetricName"], labels)
        if "Values" in metric:
            pairs = zip(metric["Values"], metric["Counts"], strict=True)
            values.setdefault(key, []).extend(pairs)
        elif metric["Unit"] == "Count":
            for each in {key, tagged(name, ())}:
                counters[each] = counters.get(each, 0.0) + metric["Value"]
        else:
            gauges[key] = metric["Value"]
    return Arrived(
        counters=counters,
        gauges=gauges,
        counts={name: sum(n for _, n in each) for name, each in values.items()},
        quantiles={name: weighted(each) for name, each in values.items()},
    )


@contextmanager
def moto_bench(moto: Moto, folder: Path) -> Iterator[Subject]:
    """Give metrics that are read back from moto, which knows sums and counts."""
    metrics = Metrics(arena=Arena(folder))
    metrics.add_backend(CloudWatch(NAMESPACE, interval=3600, endpoint_url=moto.url))

    def arrived() -> Arrived:
        counters: dict[str, float] = {}
        gauges: dict[str, float] = {}
        counts: dict[str, float] = {}
        for (name, labels, unit), points in moto.statistics().items():
            if unit == "Count":
                for key in {tagged(name, labels), tagged(name, ())}:
                    counters[key] = counters.get(key, 0.0) + sum(each["Sum"] for each in points)
            elif unit == "Seconds":
                counts[tagged(name, labels)] = sum(each["SampleCount"] for each in points)
            else:
                gauges[tagged(name, labels)] = points[-1]["Average"]
        return Arrived(counters=counters, gauges=gauges, counts=counts)

    try:
        yield Subject(metrics, arrived, tagged, quantiles=False)
    finally:
        metrics.close()


BENCHES: dict[str, Callable[[Path], AbstractContextManager[Subject]]] = {
    "expvar": expvar_bench,
    "statsd": sink_bench,
    "statsd-daemon": daemon_bench,
    "dogstatsd": dogstatsd_bench,
    "dogstatsd-unix": partial(dogstatsd_bench, unix=True),
    "telegraf": telegraf_bench,
    "cloudwatch": cloudwatch_bench,
    "cloudwatch-emf": emf_bench,
    "kept": kept_bench,
}
