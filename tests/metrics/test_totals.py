"""Graphite and InfluxDB, each a real one: the totals that they have are what was counted."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from falconkit.arena import Arena
from falconkit.errors import ConfigurationError, UpstreamUnavailable
from falconkit.metrics import Distribution, Metrics
from falconkit.metrics.backend import TotalBackend
from falconkit.metrics.graphite import Graphite
from falconkit.metrics.influxdb import InfluxDB
from falconkit.metrics.otlp import OTLPMetrics
from falconkit.metrics.paths import Paths, dotted, tagged
from falconkit.metrics.sample import Labels
from falconkit.testing import wait_until
from falconkit.testing.conform_metrics import LAWS, Arrived, Quantile, Subject
from falconkit.testing.peer import Peer, answer
from tests.dripping import dripping_port, endless, timing
from tests.metrics.servers import Carbon, Influx, carbon_cache, influxdb
from tests.services import free_port

LAW = pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)


class Seconds:
    """A clock whose Unix time goes on by a second whenever it is looked at."""

    def __init__(self) -> None:
        import time

        self.now = int(time.time()) - 600.0
        self.monotonic, self.sleep = time.monotonic, time.sleep

    def time(self) -> float:
        self.now += 1
        return self.now


@pytest.fixture
def metrics(arena: Arena) -> Iterator[Metrics]:
    metrics = Metrics(arena=arena)
    yield metrics
    metrics.close()


@pytest.fixture(scope="module")
def carbon() -> Iterator[Carbon]:
    with carbon_cache() as carbon:
        yield carbon


@pytest.fixture(scope="module")
def influx() -> Iterator[Influx]:
    with influxdb() as influx:
        yield influx


def quantiles_of(found: dict[str, float]) -> dict[str, Quantile]:
    """Return the quantiles of histograms by name, of fields such as ``t.p50``."""
    names = {name.rpartition(".p")[0] for name in found if ".p" in name}

    def quantile(name: str) -> Quantile:
        return lambda q: found.get(f"{name}.p{round(q * 100)}")

    return {name: quantile(name) for name in names}


def read_from(carbon: Carbon, metrics: Metrics, clock: Seconds, prefix: str) -> Arrived:
    metrics.flush()
    everything = metrics.read()
    sent = [name for name, _ in Paths(dotted).points(everything, everything)]
    steady = [name for name in sent if ".p" not in name]

    def last(name: str) -> tuple[int, float] | None:
        return max(carbon.points(f"{prefix}.{name}").items(), default=None)

    def arrived() -> bool:
        return all((last(name) or (0, 0))[0] == clock.now for name in steady) and all(
            map(last, sent)
        )

    wait_until(arrived, 60, what="carbon has all of it")
    found = {name: point[1] for name in sent if (point := last(name)) is not None}
    counts = {name[:-6]: value for name, value in found.items() if name.endswith(".count")}
    return Arrived(found, found, counts, quantiles_of(found))


@pytest.mark.parametrize("protocol", ["plaintext", "pickle"])
@LAW
def test_carbon(
    law: Callable[[Subject], None],
    protocol: Any,
    carbon: Carbon,
    metrics: Metrics,
    request: pytest.FixtureRequest,
) -> None:
    clock, prefix = Seconds(), f"{protocol}{law.__name__}"
    port = carbon.ports[protocol]
    metrics.add_backend(
        Graphite("127.0.0.1", port, prefix, protocol=protocol, interval=3600, clock=clock)
    )
    law(
        Subject(
            metrics,
            lambda: read_from(carbon, metrics, clock, prefix),
            lambda name, labels: dotted(name, labels)[-1],
        )
    )


def influx_key(name: str, labels: Labels) -> str:
    return json.dumps([name, *sorted(map(list, labels))])


def read_influx(influx: Influx, database: str) -> Arrived:
    counters: dict[str, float] = {}
    gauges: dict[str, float] = {}
    counts: dict[str, float] = {}
    fields: dict[str, float] = {}
    for series in influx.query("SELECT last(*) FROM /.*/ GROUP BY *", database):
        name = series["name"]
        labels = [pair for pair in series.get("tags", {}).items() if pair[0] != "host"]
        values = dict(zip(series["columns"], series["values"][0], strict=True))
        key = influx_key(name, [(label, value) for label, value in labels if value])
        if "last_total" in values and values["last_total"] is not None:
            for each in {key, influx_key(name, ())}:
                counters[each] = counters.get(each, 0.0) + values["last_total"]
        if values.get("last_value") is not None:
            gauges[key] = values["last_value"]
        if values.get("last_count") is not None:
            counts[key] = values["last_count"]
            fields |= {
                f"{key}.{field[5:]}": value
                for field, value in values.items()
                if field.startswith("last_p") and value is not None
            }
    return Arrived(counters, gauges, counts, quantiles_of(fields))


@LAW
def test_influxdb(law: Callable[[Subject], None], influx: Influx, metrics: Metrics) -> None:
    database = law.__name__
    influx.query(f"CREATE DATABASE {database}")
    metrics.add_backend(
        InfluxDB(influx.url, database=database, interval=3600, clock=Seconds(), tags={"host": "a"})
    )
    law(Subject(metrics, lambda: read_influx(influx, database), influx_key))


def test_the_paths_of_graphite(metrics: Metrics, carbon: Carbon) -> None:
    clock = Seconds()
    metrics.add_backend(Graphite("127.0.0.1", carbon.ports["plaintext"], "paths.", clock=clock))
    count = metrics.counter("request.count", ("endpoint", "outcome"))
    count.labels("a.b/é", "ok").add(3)
    count.labels("c", "ok").add()
    metrics.histogram("t").observe(2.0)
    metrics.flush()
    names = {"request.count", "request.count.a_b__.ok", "request.count.c.ok", "t.count", "t.sum"}
    names |= {"t.p50", "t.p90", "t.p95", "t.p99"}
    wait_until(lambda: carbon.paths() >= {f"paths.{name}" for name in names}, 60)
    assert {each for each in carbon.paths() if each.startswith("paths.")} == {
        f"paths.{name}" for name in names
    }
    # Between its cache and its file a point is for a moment in neither.
    wait_until(lambda: [*carbon.points("paths.request.count").values()] == [4.0], 60)


def test_labels_as_graphite_s_tags(metrics: Metrics) -> None:
    calls = metrics.counter("calls", ("endpoint", "who"))
    calls.labels("add", "~a;b c").add(2)
    metrics.histogram("t", ("endpoint",)).labels("add").observe(1.0)
    points = dict(Paths(tagged).points(metrics.read(), []))
    assert points == {
        "calls;endpoint=add;who=_a_b_c": 2.0,
        "t.count;endpoint=add": 1.0,
        "t.sum;endpoint=add": 1.0,
    }


def test_a_rule_of_one_s_own_breaks_no_line(metrics: Metrics) -> None:
    metrics.counter("calls", ("who",)).labels("a").add(2)
    points = Paths(lambda name, labels: ["a b\nforged 1 2", ""]).points(metrics.read(), [])
    assert dict(points) == {"a_b_forged_1_2": 2.0, "_": 2.0}


def test_quantiles_are_those_of_lately(metrics: Metrics, carbon: Carbon) -> None:
    clock = Seconds()
    metrics.add_backend(Graphite("127.0.0.1", carbon.ports["pickle"], "late", protocol="pickle"))
    backend = metrics._delivery._shown[0].backend
    backend._clock = clock
    seconds = metrics.histogram("t")
    for value in (1.0, 100.0):
        for _ in range(10):
            seconds.observe(value)
        metrics.flush()
    metrics.flush()  # In which nothing was observed, and nothing is told.
    wait_until(lambda: len(carbon.points("late.t.count")) == 3, 60)
    assert [*carbon.points("late.t.count").values()] == [10, 20, 20]
    assert list(carbon.points("late.t.p50").values()) == pytest.approx([1, 100], rel=0.01)


def test_a_histogram_and_a_counter_may_not_share_a_path(metrics: Metrics) -> None:
    metrics.add_backend(Graphite("127.0.0.1"))
    metrics.histogram("request")
    with pytest.raises(ConfigurationError, match=r"both be shown as request\.count"):
        metrics.counter("request.count")


@pytest.mark.parametrize(
    "options",
    [
        {"port": 0},
        {"prefix": "a b"},
        {"prefix": "a" * 129},
        {"protocol": "udp"},
        {"interval": 0},
    ],
)
def test_bad_options_of_graphite(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        Graphite("127.0.0.1", **options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"database": "a", "bucket": "b"},
        {"database": "a", "url": "localhost:8086"},
        {"database": "a", "interval": -1},
        {"database": "a", "prefix": "a\nb"},
        {"database": "a", "tags": {"host": "a\\"}},
    ],
)
def test_bad_options_of_influxdb(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        InfluxDB(**({"url": "http://127.0.0.1"} | options))


def test_a_prefix_is_the_host_s_name() -> None:
    assert Graphite(None)._prefix == socket.gethostname().replace(".", "_") + "."
    assert InfluxDB(None, database="a")._tags.constant == (("host", socket.gethostname()),)


@pytest.mark.parametrize("label", ["time", "_field", "host"])
def test_labels_that_influxdb_has_for_itself(metrics: Metrics, label: str) -> None:
    metrics.add_backend(InfluxDB(None, database="a"))
    with pytest.raises(ConfigurationError, match=label):
        metrics.counter("calls", (label,))


def test_what_influxdb_has_is_what_was_sent(influx: Influx, metrics: Metrics) -> None:
    influx.query("CREATE DATABASE shown")
    tags = {"host": "web 1", "zone": "a=b,c"}
    backend = InfluxDB(influx.url, database="shown", tags=tags, prefix="shop.")
    metrics.add_backend(backend)
    calls = metrics.counter("calls", ("who", "a"))
    for value in ('x"y,z = \\', "é\\, w", "tail\\"):
        calls.labels(value, "1").add(2)
    metrics.histogram("t").observe(2.0)
    metrics.flush()
    found = influx.query('SELECT * FROM "shop.calls" GROUP BY *', "shown")
    assert sorted(series["tags"]["who"] for series in found) == ["tail_", 'x"y,z = _', "é_, w"]
    assert {(each["tags"]["host"], each["tags"]["zone"]) for each in found} == {("web 1", "a=b,c")}
    assert [series["values"][0][1] for series in found] == [2.0] * 3
    (series,) = influx.query('SELECT "count", "sum", "p50" FROM "shop.t"', "shown")
    assert series["values"][0][1:] == pytest.approx([1.0, 2.0, 2.0], rel=0.01)


def test_what_influxdb_refuses_is_told(
    influx: Influx, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    metrics.add_backend(InfluxDB(influx.url, database="nobody_made_it"))
    metrics.counter("calls").add()
    metrics.flush()
    assert "InfluxDB answers 404" in caplog.records[0].message
    assert "database not found" in caplog.records[0].message


@pytest.mark.parametrize(
    ("options", "target", "authorization"),
    [
        (
            {"bucket": "b", "org": "o o", "token": "t"},
            "/api/v2/write?org=o+o&bucket=b&precision=ms",
            "Token t",
        ),
        (
            {"database": "d", "user": "u", "password": "p"},
            "/write?db=d&precision=ms",
            "Basic dTpw",
        ),
    ],
)
def test_the_request_of_each_version(
    metrics: Metrics, options: dict[str, str], target: str, authorization: str
) -> None:
    with Peer(answer(204)) as peer:
        metrics.add_backend(
            InfluxDB(f"http://127.0.0.1:{peer.port}/", tags={}, clock=Seconds(), **options)
        )
        metrics.gauge("depth").set(-2)
        metrics.flush()
        (got,) = peer.requests
        assert (got.method, got.target) == ("POST", target)
        assert got.headers["authorization"] == authorization
        assert got.body.startswith(b"depth value=-2.0 1")


@pytest.mark.parametrize(
    "make",
    [
        lambda peer: InfluxDB(peer.url, database="shop", interval=3600),
        lambda peer: OTLPMetrics(f"{peer.url}/v1/metrics", service="shop", interval=3600),
    ],
    ids=["influxdb", "otlp"],
)
def test_a_name_is_looked_up_for_each_flush(
    metrics: Metrics, make: Callable[[Peer], TotalBackend]
) -> None:
    # As a server answers that was asked to close.
    closing = answer(200, headers={"Connection": "close"})
    with Peer(*[closing] * 3) as peer:
        metrics.add_backend(make(peer))
        for n in range(3):
            metrics.gauge("depth").set(n)
            metrics.flush()
        # A connection that is kept stays where the name has led once.
        assert (len(peer.requests), peer.connections) == (3, 3)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Graphite("127.0.0.1", free_port()),
        lambda: Graphite("a..b"),
        lambda: InfluxDB(f"http://127.0.0.1:{free_port()}", database="a"),
    ],
)
def test_who_is_away_raises_what_says_so(metrics: Metrics, make: Callable[[], Any]) -> None:
    backend = make()
    metrics.gauge("depth").set(1)
    with pytest.raises(UpstreamUnavailable):
        backend.show(metrics.read(), [])
    backend.close()


@pytest.mark.parametrize("backend", [Graphite(None), InfluxDB("", database="a")])
def test_nothing_is_sent_to_nobody(metrics: Metrics, backend: Any) -> None:
    metrics.gauge("depth").set(1)
    backend.show(metrics.read(), [])


def test_what_a_distribution_grew_by() -> None:
    before = Distribution.of([1.0, 1.0, 5.0])
    assert Distribution.of([1.0, 1.0, 5.0, 5.0, 7.0]).since(before) == Distribution.of([5.0, 7.0])


def test_a_carbon_that_drips_does_not_hold_the_thread(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = timing(monkeypatch)
    with dripping_port(clock) as port:
        backend = Graphite("127.0.0.1", port, interval=3600)
        metrics.gauge("depth").set(1)
        with pytest.raises(UpstreamUnavailable, match="timed out"):
            backend.show(metrics.read(), ())


@pytest.mark.parametrize(
    "make",
    [
        lambda url: InfluxDB(url, database="shop", interval=3600),
        lambda url: OTLPMetrics(f"{url}/v1/metrics", service="shop", interval=3600),
    ],
    ids=["influxdb", "otlp"],
)
def test_a_server_whose_answer_drips_does_not_hold_the_thread(
    metrics: Metrics, make: Callable[[str], TotalBackend], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = timing(monkeypatch)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n"
    with Peer(endless(b"x", head, clock)) as peer:
        backend = make(peer.url)
        metrics.gauge("depth").set(1)
        with pytest.raises(UpstreamUnavailable):
            backend.show(metrics.read(), ())
        backend.close()
