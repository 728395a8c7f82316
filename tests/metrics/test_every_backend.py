"""All backends at once under workers that end, are killed and replaced: each has every call."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from prometheus_client.parser import text_string_to_metric_families

from falconkit.arena import Arena
from falconkit.metrics import Metrics
from falconkit.metrics.cloudwatch_emf import CloudWatchEMF
from falconkit.metrics.dogstatsd import DogStatsD
from falconkit.metrics.graphite import Graphite
from falconkit.metrics.influxdb import InfluxDB
from falconkit.metrics.otlp import OTLPMetrics
from falconkit.metrics.pcp import PCP
from falconkit.metrics.prometheus import Prometheus
from falconkit.metrics.statsd import StatsD
from falconkit.metrics.telegraf import TelegrafStatsD
from falconkit.testing import wait_until
from falconkit.testing.statsd import StatsDSink
from falconkit.testing.tagged import TaggedSink, telegraf
from tests.metrics.servers import Carbon, Influx, Pmcd, carbon_cache, influxdb, pmcd
from tests.tracing.receiver import Receiver

fork = multiprocessing.get_context("fork")

SERIES, CALLS = 100, 2000
Counts = dict[str, float]


class Everywhere:
    """Metrics with every backend, and what each of their receivers has."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.metrics = Metrics(arena=Arena(folder / "run"))
        self._statsd = stack.enter_context(StatsDSink())
        self._dog = stack.enter_context(TaggedSink())
        self._telegraf = stack.enter_context(TaggedSink(telegraf))
        self._collector = stack.enter_context(Receiver())
        self._carbon: Carbon = stack.enter_context(carbon_cache())
        self._influx: Influx = stack.enter_context(influxdb())
        self._pmcd: Pmcd = stack.enter_context(pmcd())
        self._influx.query("CREATE DATABASE shop")
        self._lines = folder / "lines"
        self.prometheus = Prometheus(self.metrics)
        host, interval = "127.0.0.1", 3600.0
        for backend in (
            StatsD(host, self._statsd.port, interval=interval),
            DogStatsD(host, self._dog.port, interval=interval),
            TelegrafStatsD(host, self._telegraf.port, interval=interval),
            CloudWatchEMF("Shop", write=self._write, interval=interval),
            Graphite(host, self._carbon.ports["plaintext"], "shop", interval=interval),
            InfluxDB(self._influx.url, database="shop", interval=interval),
            OTLPMetrics(f"{self._collector.url}/v1/metrics", service="shop", interval=interval),
            PCP("shop", folder=self._pmcd.folder, interval=interval),
        ):
            self.metrics.add_backend(backend)

    def _write(self, line: str) -> None:
        with self._lines.open("a") as out:
            out.write(line)

    def counts(self) -> dict[str, Counts]:
        """Return the calls by backend and series."""
        prometheus = [
            sample
            for family in text_string_to_metric_families(self.prometheus.text())
            for sample in family.samples
        ]
        emf: Counts = {}
        for line in map(json.loads, self._lines.read_text().splitlines()):
            emf[line["who"]] = emf.get(line["who"], 0.0) + line["calls"]
        posted = ExportMetricsServiceRequest.FromString(self._collector.posts[-1][2])
        (metric,) = posted.resource_metrics[0].scope_metrics[0].metrics
        influx = self._influx.query('SELECT last(total) FROM "calls" GROUP BY who', "shop")
        statsd = self._statsd.counters()
        return {
            "prometheus": {each.labels["who"]: each.value for each in prometheus},
            "statsd": {name[6:]: n for name, n in statsd.items() if name != "calls"},
            "dogstatsd": {tags[0][1]: n for (_, tags), n in self._dog.counters().items()},
            "telegraf": {tags[0][1]: n for (_, tags), n in self._telegraf.counters().items()},
            "emf": emf,
            "otlp": {
                point.attributes[0].value.string_value: point.as_double
                for point in metric.sum.data_points
            },
            "influxdb": {each["tags"]["who"]: each["values"][0][1] for each in influx},
            "pcp": {name[4:]: n for name, n in self._pmcd.read("shop")["calls"].items()},
        }

    def graphite(self) -> Counts:
        found = {f"w{n}": self._carbon.points(f"shop.calls.w{n}") for n in range(SERIES)}
        return {who: points[max(points)] for who, points in found.items() if points}


@pytest.fixture
def everywhere(tmp_path: Path) -> Iterator[Everywhere]:
    with ExitStack() as stack:
        yield Everywhere(tmp_path, stack)


def test_each_has_every_call(everywhere: Everywhere) -> None:
    metrics = everywhere.metrics
    calls = metrics.counter("calls", ("who",))

    def work(dies: bool) -> None:
        for n in range(CALLS):
            calls.labels(f"w{n % SERIES}").add()
            if n == CALLS // 2:
                metrics.flush()
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
        metrics.close()

    # Four at a time; three are killed with half of their counts unsent, and replaced.
    fates = [True, True, True, False, False, False, False]
    running = [fork.Process(target=work, args=(dies,)) for dies in fates[:4]]
    for child in running:
        child.start()
    for dies in fates[4:]:
        running.pop(0).join(60)
        running.append(fork.Process(target=work, args=(dies,)))
        running[-1].start()
    for child in running:
        child.join(60)
        assert child.exitcode == 0
    # Whoever comes next sends what the killed have left.
    heir = fork.Process(target=lambda: (calls.labels("w0").add(0), metrics.close()))
    heir.start()
    heir.join(60)
    assert heir.exitcode == 0
    each = len(fates) * CALLS / SERIES
    want = {f"w{n}": each for n in range(SERIES)}
    for backend, counts in everywhere.counts().items():
        assert counts == want, backend
    wait_until(lambda: everywhere.graphite() == want, 60, what="carbon has all of it")
