from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from falconkit.arena import Arena
from falconkit.errors import ConfigurationError, UpstreamUnavailable
from falconkit.metrics import Metrics, expvar
from falconkit.metrics.datagrams import Plain
from falconkit.metrics.lookup import Target
from falconkit.metrics.sample import Sample, SeriesKey
from falconkit.metrics.statsd import StatsD
from falconkit.testing import ManualClock
from falconkit.testing.statsd import StatsDSink
from tests.services import free_port


@pytest.fixture
def sink() -> Iterator[StatsDSink]:
    with StatsDSink() as sink:
        yield sink


@pytest.fixture
def metrics(arena: Arena) -> Iterator[Metrics]:
    metrics = Metrics(arena=arena)
    yield metrics
    metrics.close()


def sending(metrics: Metrics, sink: StatsDSink, **options: Any) -> StatsD:
    backend = StatsD("127.0.0.1", sink.port, **({"interval": 3600} | options))
    metrics.add_backend(backend)
    return backend


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "falconkit.metrics"]


def texts(sink: StatsDSink) -> list[str]:
    return sorted(line for each in sink.datagrams() for line in each.decode().split("\n"))


def test_the_lines_of_one_interval(metrics: Metrics, sink: StatsDSink) -> None:
    sending(metrics, sink, prefix="counter.")
    count = metrics.counter("request.count", ("endpoint", "outcome"))
    count.labels("add", "ok").add(3)
    count.labels("add", "refused").add()
    metrics.counter("kilos").add(0.00001)
    metrics.gauge("depth").set(-2.5)
    metrics.gauge("load").set(3)
    metrics.histogram("request.seconds").observe(0.25)
    metrics.histogram("size", unit="byte").observe(0)
    metrics.flush()
    assert texts(sink) == [
        "counter.depth:-2.5|g",
        "counter.depth:0|g",
        "counter.kilos:0.00001|c",
        "counter.load:3|g",
        "counter.request.count.add.ok:3|c",
        "counter.request.count.add.refused:1|c",
        "counter.request.count:4|c",
        "counter.request.seconds:248.410796|ms",
        "counter.size:0.000000|ms",
    ]
    metrics.flush()
    assert texts(sink).count("counter.load:3|g") == 2
    assert sink.counters()["counter.request.count"] == 4


def test_the_order_of_a_negative_gauge(metrics: Metrics, sink: StatsDSink) -> None:
    sending(metrics, sink)
    for n in range(200):
        metrics.gauge(f"gauge{n}").set(-n - 1)
    metrics.flush()
    assert sink.gauges() == {f"gauge{n}": -n - 1 for n in range(200)}


@pytest.mark.parametrize(
    ("options", "under"), [({}, 1432), ({"datagram": 8932}, 8932)], ids=["ethernet", "loopback"]
)
def test_every_datagram_is_under_its_bound_and_well_filled(
    metrics: Metrics, sink: StatsDSink, options: dict[str, Any], under: int
) -> None:
    sending(metrics, sink, **options)
    count = metrics.counter("request.count", ("endpoint", "outcome"))
    for n in range(500):
        count.labels(f"endpoint{n}", "ok").add(n + 1)
    metrics.flush()
    sizes = [len(each) for each in sink.datagrams()]
    assert max(sizes) < under
    assert min(sizes[:-1]) > under - 52  # the longest line here
    assert sink.counters()["request.count"] == 500 * 501 / 2
    assert len(sink.counters()) == 501


def test_the_longest_names_and_values_still_fit(metrics: Metrics, sink: StatsDSink) -> None:
    sending(metrics, sink, prefix="p" * 64, datagram=512)
    labels = tuple("abcdefgh")
    metrics.counter("n" * 100, labels).labels(*["é" * 100] * 8).add(1e300)
    metrics.gauge("g" * 100, labels).labels(*["v" * 100] * 8).set(-1e300)
    metrics.flush()
    assert max(len(each) for each in sink.datagrams()) < 512
    assert sink.counters() == {f"{'p' * 64}.{'n' * 88}": 1e300}
    assert sink.gauges() == {f"{'p' * 64}.{'g' * 88}": -1e300}


def test_a_histogram_is_sent_as_few_timings_that_stand_for_all(
    metrics: Metrics, sink: StatsDSink
) -> None:
    sending(metrics, sink, values=100)
    seconds = metrics.histogram("t", ("endpoint",))
    for n in range(12_345):
        seconds.labels("add").observe(0.001 * (n + 1))
    metrics.flush()
    sent = sink.timings()
    assert {name: len(values) for name, values in sent.items()} == {"t": 100, "t.add": 100}
    assert sum(n for _, n in sent["t.add"]) == pytest.approx(12_345)
    assert sent["t"][0][0] == pytest.approx(62, rel=0.02)
    assert sent["t"][99][0] == pytest.approx(12_345 - 62, rel=0.02)
    # What was left out is spoken for: by number, and in the mean.
    mean = sum(size * n for size, n in sent["t.add"]) / 12_345
    assert mean == pytest.approx(12_346 / 2, rel=0.01)


def test_counters_and_gauges_are_never_sampled(metrics: Metrics, sink: StatsDSink) -> None:
    sending(metrics, sink, values=1)
    for n in range(1000):
        metrics.counter("calls").add()
        metrics.gauge("depth").set(n)
        metrics.histogram("t").observe(n)
    metrics.flush()
    rates = {line.name: line.rate for line in sink.lines()}
    assert rates == {"calls": 1.0, "depth": 1.0, "t": 0.001}
    assert sink.counters() == {"calls": 1000}


def test_few_observations_are_sent_one_by_one(metrics: Metrics, sink: StatsDSink) -> None:
    sending(metrics, sink)
    for _ in range(100):
        metrics.histogram("t").observe(1.0)
    metrics.flush()
    assert len(texts(sink)) == 100
    assert not any("@" in line for line in texts(sink))


def test_the_rule_for_labels_is_an_argument(metrics: Metrics, sink: StatsDSink) -> None:
    def rule(name: str, labels: tuple[tuple[str, str], ...]) -> list[str]:
        return [f"all.{name}", "/".join([name, *(value for _, value in labels)]), "é\n:|@#"]

    sending(metrics, sink, name_of=rule)
    calls = metrics.counter("calls", ("endpoint",))
    calls.labels("a.b c").add()
    calls.labels("d").add(2)
    metrics.flush()
    assert sink.counters() == {"all.calls": 3, "calls_a.b_c": 1, "calls_d": 2, "______": 3}


def test_label_values_make_no_branches_and_forge_no_lines(
    metrics: Metrics, sink: StatsDSink
) -> None:
    sending(metrics, sink)
    calls = metrics.counter("calls", ("who",))
    for value in ("a.b", "x\nforged:1|c", "x:1|c\nforged", "q|@0.1", "#tag:v", ""):
        calls.labels(value).add()
    metrics.flush()
    assert sorted(sink.counters()) == [
        "calls",
        "calls._",
        "calls._tag_v",
        "calls.a_b",
        "calls.q__0_1",
        "calls.x_1_c_forged",
        "calls.x_forged_1_c",
    ]


def test_nothing_is_sent_without_a_host(metrics: Metrics, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", None)
    metrics.add_backend(StatsD(None))
    metrics.add_backend(StatsD(""))
    metrics.counter("calls").add()
    metrics.flush()
    assert expvar(metrics) == {"calls": 1}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"port": 0}, "STATSD_PORT is from 1 to 65535, got 0"),
        ({"port": 65536}, "got 65536"),
        ({"prefix": "a b"}, "STATSD_PREFIX is at most 64 letters"),
        ({"prefix": "x" * 65}, "STATSD_PREFIX is at most 64 letters"),
        ({"interval": 0}, "interval > 0"),
        ({"values": 0}, "values >= 1"),
        ({"datagram": 511}, "512 <= datagram"),
        ({"datagram": 65508}, "512 <= datagram"),
    ],
)
def test_what_cannot_work_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        StatsD("localhost", **options)


def test_a_daemon_that_is_away_gets_it_all_later(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    port = free_port()
    metrics.add_backend(StatsD("127.0.0.1", port, interval=3600))
    with caplog.at_level(logging.INFO, "falconkit.metrics"):
        for _ in range(3):
            metrics.counter("calls").add()
            metrics.flush()
        with StatsDSink(port) as sink:
            metrics.counter("calls").add(10)
            metrics.flush()
            metrics.flush()
            assert sink.counters() == {"calls": 13}
    cause = f"STATSD_HOST='127.0.0.1', port {port}: nobody listens, or the socket is full"
    assert told(caplog) == [
        f"metrics are not sent to statsd, trying again: {cause}",
        "statsd takes metrics again",
    ]


def test_a_name_that_does_not_resolve(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []
    real = socket.getaddrinfo

    def lookup(host: str, *args: Any, **options: Any) -> Any:
        if host != "statsd.nowhere":
            return real(host, *args, **options)
        asked.append(host)
        if len(asked) < 3:
            raise socket.gaierror(-2, "Name or service not known")
        return real("127.0.0.1", *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    clock = ManualClock()
    with StatsDSink() as sink:
        metrics.add_backend(StatsD("statsd.nowhere", sink.port, interval=3600, clock=clock))
        for _ in range(3):
            metrics.counter("calls").add()
            metrics.flush()
        assert len(asked) == 1
        clock.advance(5)
        metrics.flush()
        assert (len(asked), sink.counters()) == (2, {})
        clock.advance(5)
        metrics.flush()
        assert (len(asked), sink.counters()) == (3, {"calls": 3})
    (warning,) = told(caplog)
    assert "STATSD_HOST='statsd.nowhere' does not resolve" in warning
    assert "Name or service not known" in warning


@pytest.mark.parametrize("host", ["a" * 300, "a..b", "\x00"])
def test_names_that_are_none(metrics: Metrics, host: str, caplog: pytest.LogCaptureFixture) -> None:
    metrics.add_backend(StatsD(host, interval=3600))
    metrics.counter("calls").add()
    metrics.flush()
    assert "STATSD_HOST" in told(caplog)[0]


def test_a_name_that_moves_is_followed_within_a_minute(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, leads_to = socket.getaddrinfo, [""]

    def lookup(host: str, *args: Any, **options: Any) -> Any:
        if host == "statsd.test":
            (host,) = leads_to
            if not host:
                raise socket.gaierror(-3, "Temporary failure in name resolution")
        return real(host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    clock = ManualClock()
    backend = StatsD("statsd.test", 8125, interval=3600, clock=clock)
    found = []
    for address in ("127.0.0.1", "127.0.0.2", "127.0.0.2", "", "127.0.0.3"):
        leads_to[0] = address
        found.append(backend._wire._finder.find().address[0])
        clock.advance(59)
        found.append(backend._wire._finder.find().address[0])
        clock.advance(1)
    assert found == [f"127.0.0.{n}" for n in (1, 1, 2, 2, 2, 2, 2, 2, 2, 3)]


def test_a_new_address_has_a_new_socket(metrics: Metrics, sink: StatsDSink) -> None:
    backend = sending(metrics, sink)
    metrics.counter("calls").add()
    metrics.flush()
    old = backend._wire._client
    assert old is not None
    backend._wire._finder._found = Target(socket.AF_INET, ("127.0.0.2", sink.port))
    with pytest.raises(UpstreamUnavailable):
        backend.send(metrics.read())
    assert old._sock is None
    assert backend._wire._client is not None
    assert backend._wire._client.target.address[0] == "127.0.0.2"


def test_localhost_is_ipv4_first_and_ipv6_works(metrics: Metrics) -> None:
    assert StatsD("localhost")._wire._finder.find().address == ("127.0.0.1", 8125)
    assert StatsD("::1")._wire._finder.find().address[:2] == ("::1", 8125)


class Failing:
    """A socket that refuses some sends."""

    def __init__(self, real: Any, refuses: set[int]) -> None:
        self._real, self._refuses, self._tries = real, refuses, 0

    def send(self, data: bytes) -> int:
        self._tries += 1
        if self._tries in self._refuses:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return int(self._real.send(data))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)


@pytest.mark.parametrize("refuses", [{1}, {2}, {3}, {1, 2}, {2, 3}, {2, 4}, {1, 2, 3, 4, 5}])
def test_a_full_socket_neither_loses_nor_repeats(
    metrics: Metrics, sink: StatsDSink, refuses: set[int]
) -> None:
    backend = sending(metrics, sink)
    calls = metrics.counter("calls", ("n",))
    metrics.counter("start").add()
    metrics.flush()
    client = backend._wire._client
    assert client is not None
    client._sock = Failing(client._sock, refuses)
    for n in range(150):
        calls.labels(f"label{n}").add(n)
    for _ in range(8):
        calls.labels("label1").add()
        metrics.flush()
    assert sink.counters()["calls"] == 150 * 149 / 2 + 8
    assert sink.counters()["calls.label1"] == 9


def test_an_address_that_cannot_be_sent_to(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    metrics.add_backend(StatsD("255.255.255.255", interval=3600))
    metrics.counter("calls").add()
    metrics.flush()
    (warning,) = told(caplog)
    assert "STATSD_HOST='255.255.255.255', port 8125: [Errno 13] Permission denied" in warning


def test_a_counter_without_change_is_not_sent(metrics: Metrics, sink: StatsDSink) -> None:
    backend = sending(metrics, sink)
    backend.send([Sample(SeriesKey("counter", "calls", "", ()), 0.0)])
    assert sink.datagrams() == []


def test_what_is_left_when_it_is_closed_is_told(
    metrics: Metrics, sink: StatsDSink, caplog: pytest.LogCaptureFixture
) -> None:
    backend = sending(metrics, sink)
    metrics.flush()
    backend.send([])
    assert backend._wire._client is not None
    backend._wire._client.unsent = ["a:1|c"]
    backend.close()
    backend.close()
    assert told(caplog) == ["1 datagrams of metrics could not be sent"]


def test_many_datagrams_are_paced(metrics: Metrics, sink: StatsDSink) -> None:
    clock = ManualClock()
    sending(metrics, sink, clock=clock, datagram=512)
    calls = metrics.counter("calls", ("n",))
    for n in range(999):
        calls.labels("n" * 30 + str(n)).add()
    metrics.flush()
    assert len(clock.slept) == len(sink.datagrams()) // 32 > 1


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (4.0, "4"),
        (-1.5, "-1.5"),
        (1e-7, "0.0000001"),
        (1e21, f"1{'0' * 21}"),
    ],
)
def test_numbers_are_written_without_exponents(number: float, text: str) -> None:
    assert (str(Plain(number)), f"{Plain(number)}") == (text, text)
    assert f"{Plain(1.5):.2f}" == "1.50"
