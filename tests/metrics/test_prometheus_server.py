"""A real Prometheus: what it has scraped is what was counted. One server for all tests here."""

from __future__ import annotations

import http.server
import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path

import pytest

from falconkit.arena import Arena
from falconkit.debug.scrape import prefers_open_metrics
from falconkit.metrics import Metrics
from falconkit.metrics.prometheus import Prometheus
from falconkit.metrics.sample import Labels
from falconkit.testing import wait_until
from falconkit.testing.conform_metrics import LAWS, Arrived, Quantile, Subject
from falconkit.testing.gunicorn import Gunicorn
from tests.metrics.servers import PrometheusServer, ask, prometheus_server

SERVICE = """
from falconkit import Context, chain
from falconkit.metrics import Metrics, measure
from falconkit.metrics.prometheus import Prometheus
from falconkit.tracing import LeanTracer, SpanList, always, trace
from falconkit.transport import http

metrics = Metrics()
tracer = LeanTracer("shop", reporter=SpanList(), sampler=always)
app = http.app(metrics=metrics, tracer=tracer, prometheus=Prometheus(metrics))

def add(ctx: Context, v: int) -> int:
    return v

app.post("/add", add, chain(trace(tracer), measure(metrics, slow=1e-9)))
"""

FINE = tuple(n / 1000 for n in range(400, 600, 2))


@dataclass
class Target:
    """What a port shows to Prometheus: each test puts its own metrics behind it."""

    exposed: Prometheus | None = None
    formats: set[bool] = field(default_factory=set)

    def serve(self) -> http.server.ThreadingHTTPServer:
        target = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                strict = prefers_open_metrics({"HTTP_ACCEPT": self.headers.get("Accept")})
                target.formats.add(strict)
                version = "application/openmetrics-text; version=1.0.0" if strict else "text/plain"
                shown = target.exposed
                text = "# EOF\n" if shown is None else shown.open_metrics()
                self.send_response(200)
                self.send_header("Content-Type", version)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *args: object) -> None:
                pass

        return http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)


@dataclass
class Scraped:
    prometheus: PrometheusServer
    target: Target
    gunicorn: Gunicorn


@pytest.fixture(scope="module")
def scraped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scraped]:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "service.py").write_text(SERVICE)
    target = Target()
    server = target.serve()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        with (
            Gunicorn("service:app", workers=2, cwd=folder, DRAIN_SECONDS="0") as gunicorn,
            prometheus_server(target=server.server_address[1], shop=gunicorn.port) as prometheus,
        ):
            wait_until(
                lambda: [each["health"] for each in prometheus.targets()] == ["up", "up"],
                60,
                what="the first scrapes",
            )
            yield Scraped(prometheus, target, gunicorn)
    finally:
        server.shutdown()
        thread.join(60)
        server.server_close()


def titled(name: str, labels: Labels) -> str:
    shown = name.replace(".", "_")
    return json.dumps([shown, *sorted(labels)]) if labels else shown


class Reader:
    """Reads from Prometheus all that one `Metrics` shows, once it has seen its last mark."""

    marks = 0

    def __init__(self, scraped: Scraped, metrics: Metrics) -> None:
        self._prometheus, self._metrics = scraped.prometheus, metrics

    def read(self) -> Arrived:
        Reader.marks += 1
        mark = float(Reader.marks)
        self._metrics.gauge("mark").set(mark)
        wait_until(
            lambda: self._prometheus.value('mark{job="target"}') == mark, 60, what="a scrape"
        )
        counters: dict[str, float] = {}
        gauges: dict[str, float] = {}
        for metric, value in self._prometheus.query('{job="target",le=""}'):
            name = metric.pop("__name__")
            labels = [pair for pair in metric.items() if pair[0] not in ("job", "instance")]
            if name.endswith("_total"):
                name = name.removesuffix("_total")
                if labels:
                    counters[json.dumps([name, *sorted(labels)])] = value
                counters[name] = counters.get(name, 0.0) + value
            else:
                gauges[name] = value
        counts = {name[:-6]: n for name, n in gauges.items() if name.endswith("_count")}
        return Arrived(counters, gauges, counts, {name: self._quantile(name) for name in counts})

    def _quantile(self, name: str) -> Quantile:
        return lambda q: self._prometheus.value(
            f'histogram_quantile({q}, {name}_bucket{{job="target"}})'
        )


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law: Callable[[Subject], None], scraped: Scraped, arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    scraped.target.exposed = Prometheus(metrics, buckets=FINE)
    law(Subject(metrics, Reader(scraped, metrics).read, titled))
    assert scraped.target.formats == {True}


def shown_by(server: Gunicorn, name: str) -> int:
    text = ask(f"http://127.0.0.1:{server.port}/metrics").decode()
    return sum(int(float(each.split()[-1])) for each in text.splitlines() if each.startswith(name))


def add(server: Gunicorn, times: int) -> None:
    for v in range(times):
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
            connection.request("POST", "/add", f"{v}", {"Content-Type": "application/json"})
            assert connection.getresponse().status == 200


def test_the_calls_of_two_workers_one_of_which_is_killed(scraped: Scraped) -> None:
    server, prometheus = scraped.gunicorn, scraped.prometheus

    def counted() -> float | None:
        return prometheus.value('request_count_total{job="shop",endpoint="add",outcome="ok"}')

    before = shown_by(server, 'request_count_total{endpoint="add"')
    add(server, 60)
    victim = server.workers()[0]
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: victim not in server.workers() and len(server.workers()) == 2, 60)
    add(server, 40)
    wait_until(lambda: counted() == before + 100, 60, what="all calls")
    assert prometheus.value('request_seconds_count{job="shop"}') == before + 100
    assert prometheus.value('request_seconds_bucket{job="shop",le="+Inf"}') == before + 100
    wait_until(lambda: prometheus.value('gunicorn_workers{job="shop"}') == 2, 60)
    # Four threads each, as falconkit.server.gunicorn has it.
    assert prometheus.value('gunicorn_threads{job="shop"}') == 8
    # Whichever worker was asked, no counter ever went back.
    assert prometheus.value('resets(request_count_total{job="shop"}[10m])') == 0


def test_prometheus_keeps_the_traces_of_slow_calls(scraped: Scraped) -> None:
    add(scraped.gunicorn, 20)
    found = wait_until(
        lambda: scraped.prometheus.exemplars('request_seconds_bucket{job="shop"}'), 60
    )
    (series, *_) = found
    assert series["seriesLabels"]["endpoint"] == "add"
    trace_id = series["exemplars"][0]["labels"]["trace_id"]
    assert len(trace_id) == 32


def test_a_folder_does_not_grow_with_each_worker(tmp_path: Path) -> None:
    metrics = Metrics(arena=Arena(tmp_path / "run"))
    shown = Prometheus(metrics)
    calls = metrics.counter("calls")
    sizes = set()
    for n in range(5):
        child = os.fork()
        if child == 0:
            calls.add(n + 1)
            os._exit(0)
        os.waitpid(child, 0)
        assert f"calls_total {(n + 1) * (n + 2) / 2}" in shown.text()
        sizes.add(len(list((tmp_path / "run").rglob("*"))))
    assert len(sizes) == 1
