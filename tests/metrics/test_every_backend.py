"""All backends at once under workers that end, are killed and replaced: each has every call.

``FALCONKIT_LOAD_SECONDS=60`` makes the load last so long.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from multiprocessing.sharedctypes import RawArray
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from prometheus_client.parser import text_string_to_metric_families

from falconkit.arena import Arena
from falconkit.metrics import Metrics, cloudwatch_client, delivery, expvar
from falconkit.metrics.cloudwatch import CloudWatch
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
from tests.metrics.aws import NAMESPACE, credentials
from tests.metrics.benches import cloudwatch_arrived, tagged
from tests.metrics.servers import Carbon, Influx, Pmcd, carbon_cache, influxdb, pmcd
from tests.tracing.receiver import Receiver

fork = multiprocessing.get_context("fork")

SERIES, CALLS = 100, 4000
SECONDS = float(os.environ.get("FALCONKIT_LOAD_SECONDS", "0"))
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
        stack.enter_context(credentials())
        self._amazon = stack.enter_context(Receiver())
        self._influx.query("CREATE DATABASE shop")
        self._lines = folder / "lines"
        self.prometheus = Prometheus(self.metrics)
        host, interval = "127.0.0.1", 0.5
        for backend in (
            StatsD(host, self._statsd.port, interval=interval),
            DogStatsD(host, self._dog.port, interval=interval),
            TelegrafStatsD(host, self._telegraf.port, interval=interval),
            CloudWatchEMF("Shop", write=self._write, interval=interval),
            CloudWatch(NAMESPACE, endpoint_url=self._amazon.url, interval=interval),
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
        amazon = cloudwatch_arrived(self._amazon.posts).counters
        shown = expvar(self.metrics)
        return {
            "expvar": {f"w{n}": shown[f"calls{{who=w{n}}}"] for n in range(SERIES)},
            "cloudwatch": {
                f"w{n}": amazon[tagged("calls", (("who", f"w{n}"),))] for n in range(SERIES)
            },
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
def everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Everywhere]:
    # An answer that a slow machine has late would be a call that counts twice, as would a last
    # flush that is given up half-way.
    monkeypatch.setattr(cloudwatch_client, "_PATIENCE", 60.0)
    monkeypatch.setattr(delivery, "_LAST_FLUSH", 120.0)
    with ExitStack() as stack:
        yield Everywhere(tmp_path, stack)


def enough(share: float) -> Callable[[int], bool]:
    """Return what tells, of the number of calls made, whether a share of the load is over."""
    if not SECONDS:
        return lambda made: made >= CALLS * share
    until = time.monotonic() + SECONDS * share
    return lambda made: time.monotonic() >= until


class Load:
    """Workers that call, each in its own way to its end, and what each of them has called."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._calls = metrics.counter("calls", ("who",))
        self._tallies: list[Any] = []

    def start(self, share: float, end: Callable[[], object]) -> Any:
        """Start a worker that calls for a share of the load, and then ends so."""
        # Memory that outlives its worker; written beside each call, and no worker ends between.
        tally = RawArray("l", SERIES)
        self._tallies.append(tally)
        child = fork.Process(target=self._work, args=(tally, share, end))
        child.start()
        return child

    def _work(self, tally: Any, share: float, end: Callable[[], object]) -> None:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        over, made = enough(share), 0
        try:
            while not over(made):
                self._calls.labels(f"w{made % SERIES}").add()
                tally[made % SERIES] += 1
                made += 1
            end()
        finally:
            self._metrics.close()

    def made(self) -> Counts:
        """Return the calls of all workers by series."""
        return {f"w{n}": float(sum(tally[n] for tally in self._tallies)) for n in range(SERIES)}


def test_each_has_every_call(everywhere: Everywhere) -> None:
    metrics = everywhere.metrics
    load = Load(metrics)

    def die() -> None:
        # Not between a send and its mark: that interval would be sent again by the successor.
        with metrics._delivery._lock:
            os.kill(os.getpid(), signal.SIGKILL)

    def leave() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    # Four at a time, whose flush threads send meanwhile; three of them are replaced.
    steady = load.start(1.0, lambda: None)
    firsts = [load.start(share, end) for share, end in ((0.3, die), (0.5, leave), (0.7, die))]
    seconds = []
    for first, share, status in zip(
        firsts, (0.7, 0.5, 0.3), (-signal.SIGKILL, 0, -signal.SIGKILL), strict=True
    ):
        first.join(SECONDS + 120)
        assert first.exitcode == status
        seconds.append(load.start(share, lambda: None))
    for child in (steady, *seconds):
        child.join(SECONDS + 120)
        assert child.exitcode == 0
    # Whoever comes next sends what the killed have left.
    heir = load.start(0.0, lambda: metrics.counter("calls", ("who",)).labels("w0").add(0))
    heir.join(120)
    assert heir.exitcode == 0
    want = load.made()
    print(f"{sum(want.values()):,.0f} calls")
    for backend, counts in everywhere.counts().items():
        assert counts == want, backend
    wait_until(lambda: everywhere.graphite() == want, 60, what="carbon has all of it")
