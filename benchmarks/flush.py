"""What a flush of 1,000 series costs, by backend; Markdown on stdout.

    python -m benchmarks.flush [--rounds 50]

It wants the extras of the backends, so it is run where the tests are. 900 of the series are
counters, each of which grows before each flush, and 100 are histograms, which see nothing, or 10
values each. The receivers are a process of their own; what is told is the processor's time of the
thread that flushes, so that a busy machine counts for little. Backends are measured in turn, once
a round.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import http.server
import multiprocessing
import os
import random
import socket
import tempfile
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import Spread, in_turn
from falconkit.arena import Arena
from falconkit.metrics import Metrics
from falconkit.metrics.backend import Backend, TotalBackend
from falconkit.metrics.cloudwatch import CloudWatch
from falconkit.metrics.cloudwatch_emf import CloudWatchEMF
from falconkit.metrics.discard import Discard
from falconkit.metrics.dogstatsd import DogStatsD
from falconkit.metrics.graphite import Graphite
from falconkit.metrics.influxdb import InfluxDB
from falconkit.metrics.otlp import OTLPMetrics
from falconkit.metrics.pcp import PCP
from falconkit.metrics.prometheus import Prometheus
from falconkit.metrics.statsd import StatsD
from falconkit.metrics.telegraf import TelegrafStatsD

NEVER = 86_400.0  # seconds between two flushes of its own: only ours are measured


class Ports(NamedTuple):
    """Where the receivers listen."""

    http: int
    udp: int
    tcp: int


class _Takes(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def receive(told: Connection) -> None:
    """Take whatever comes, by HTTP, UDP and TCP."""
    web = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Takes)
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind(("127.0.0.1", 0))
    stream = socket.create_server(("127.0.0.1", 0))
    told.send(Ports(web.server_port, datagrams.getsockname()[1], stream.getsockname()[1]))
    threading.Thread(target=web.serve_forever, daemon=True).start()
    threading.Thread(target=_drain, args=(datagrams,), daemon=True).start()
    while True:
        with contextlib.suppress(OSError), stream.accept()[0] as taken:
            _drain(taken)


def _drain(sock: socket.socket) -> None:
    while sock.recv(65536):
        pass


def backends(ports: Ports, folder: Path) -> dict[str, Backend | TotalBackend]:
    """Return them by name."""
    host, web = "127.0.0.1", f"http://127.0.0.1:{ports.http}"
    return {
        "reading alone, which each has": Discard(),
        "`StatsD`": StatsD(host, ports.udp, interval=NEVER),
        "`StatsD(datagram=8932)`": StatsD(host, ports.udp, interval=NEVER, datagram=8932),
        "`DogStatsD`": DogStatsD(host, ports.udp, interval=NEVER),
        "`TelegrafStatsD`": TelegrafStatsD(host, ports.udp, interval=NEVER),
        "`CloudWatchEMF`": CloudWatchEMF("Shop", write=lambda line: None, interval=NEVER),
        "`CloudWatch`": CloudWatch("Shop", interval=NEVER, endpoint_url=web),
        "`Graphite`": Graphite(host, ports.tcp, interval=NEVER),
        '`Graphite(protocol="pickle")`': Graphite(
            host, ports.tcp, interval=NEVER, protocol="pickle"
        ),
        "`InfluxDB`": InfluxDB(web, database="shop", interval=NEVER),
        "`PCP`": PCP("shop", folder=folder, interval=NEVER),
        "`OTLPMetrics`": OTLPMetrics(f"{web}/v1/metrics", service="shop", interval=NEVER),
    }


def flushing(metrics: Metrics, flush: Callable[[], object], values: int) -> Callable[[], float]:
    """Return what lets 1,000 series grow, and measures a flush of them in milliseconds."""
    calls = metrics.counter("request.count", ("endpoint", "outcome"))
    counters = [calls.labels(f"endpoint{n}", "ok") for n in range(900)]
    seconds = metrics.histogram("request.seconds", ("endpoint",))
    histograms = [seconds.labels(f"endpoint{n}") for n in range(100)]
    rng = random.Random(1)

    def figure() -> float:
        for each in counters:
            each.add()
        for seen in histograms:
            for _ in range(values):
                seen.observe(rng.lognormvariate(-4, 0.5))
        began = time.thread_time()
        flush()
        return (time.thread_time() - began) * 1e3

    return figure


def measure(ports: Ports, folder: Path, values: int, rounds: int) -> dict[str, Spread]:
    """Return the milliseconds of a flush by backend."""
    figures: dict[str, Callable[[], float]] = {}
    made = []
    (folder / "mmv").mkdir()
    for at, (name, backend) in enumerate(backends(ports, folder / "mmv").items()):
        metrics = Metrics(arena=Arena(folder / str(at)))
        metrics.add_backend(backend)
        figures[name] = flushing(metrics, metrics.flush, values)
        made.append(metrics)
    scraped = Metrics(arena=Arena(folder / "scraped"))
    figures["`Prometheus`, a scrape"] = flushing(scraped, Prometheus(scraped).text, values)
    for figure in figures.values():
        figure()  # names are looked up, connections made, layouts kept
    gc.collect()
    gc.freeze()
    found = in_turn(figures, rounds)
    for each in (*made, scraped):
        each.close()
    return {name: Spread.of(each) for name, each in found.items()}


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description="What a flush of 1,000 series costs.")
    parser.add_argument("--rounds", type=int, default=50)
    rounds = parser.parse_args().rounds
    os.environ |= {
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "eu-west-1",
    }
    hear, tell = multiprocessing.Pipe(duplex=False)
    receivers = multiprocessing.get_context("fork").Process(
        target=receive, args=(tell,), daemon=True
    )
    receivers.start()
    ports = hear.recv()
    try:
        with tempfile.TemporaryDirectory() as quiet, tempfile.TemporaryDirectory() as busy:
            one = measure(ports, Path(quiet), 0, rounds)
            ten = measure(ports, Path(busy), 10, rounds)
    finally:
        receivers.kill()
    print("| backend | histograms quiet | 10 values in each |")
    print("|---|---|---|")
    for name, spread in one.items():
        print(f"| {name} | {spread.text(1)} | {ten[name].text(1)} |")


if __name__ == "__main__":
    main()
