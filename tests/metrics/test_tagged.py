"""DogStatsD and Telegraf's StatsD: what goes over the wire, and what is refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from falconkit.arena import Arena
from falconkit.errors import ConfigurationError, UpstreamUnavailable
from falconkit.metrics import Metrics
from falconkit.metrics.dogstatsd import DogStatsD
from falconkit.metrics.telegraf import TelegrafStatsD
from falconkit.testing.tagged import TaggedLine, TaggedSink, dogstatsd, telegraf

BOTH = pytest.mark.parametrize(
    ("backend", "parse"), [(DogStatsD, dogstatsd), (TelegrafStatsD, telegraf)]
)
Backend = Callable[..., Any]
Parse = Callable[[bytes], list[TaggedLine]]


@pytest.fixture
def metrics(arena: Arena) -> Iterator[Metrics]:
    metrics = Metrics(arena=arena)
    yield metrics
    metrics.close()


def fed(metrics: Metrics) -> None:
    count = metrics.counter("request.count", ("endpoint", "outcome"))
    count.labels("add", "ok").add(3)
    count.labels("é:/x y", "ok").add()
    metrics.gauge("depth").set(-2.5)
    seconds = metrics.histogram("request.seconds", ("endpoint",))
    for _ in range(6):
        seconds.labels("add").observe(0.25)
    metrics.histogram("size", unit="byte").observe(0)


def texts(sink: TaggedSink) -> list[str]:
    return sorted(line for each in sink.datagrams() for line in each.decode().split("\n"))


def test_the_lines_of_dogstatsd(metrics: Metrics) -> None:
    with TaggedSink(dogstatsd) as sink:
        tags = {"env": "prod", "team": "a:b"}
        backend = DogStatsD("127.0.0.1", sink.port, "shop.", tags=tags, values=4, interval=3600)
        metrics.add_backend(backend)
        fed(metrics)
        metrics.flush()
        constant = "env:prod,team:a:b"
        assert texts(sink) == [
            f"shop.depth:-2.5|g|#{constant}",
            f"shop.request.count:1|c|#{constant},endpoint:é:/x_y,outcome:ok",
            f"shop.request.count:3|c|#{constant},endpoint:add,outcome:ok",
            *[f"shop.request.seconds:0.248411|d|#{constant},endpoint:add"] * 2,
            *[f"shop.request.seconds:0.248411|d|@0.5|#{constant},endpoint:add"] * 2,
            f"shop.size:0|d|#{constant}",
        ]
        assert len(sink.lines()) == 8


@pytest.mark.parametrize(("kind", "value"), [("h", "0.248411"), ("ms", "248.411")])
def test_a_histogram_of_another_kind(metrics: Metrics, kind: Any, value: str) -> None:
    with TaggedSink(dogstatsd) as sink:
        metrics.add_backend(DogStatsD("127.0.0.1", sink.port, histogram=kind, interval=3600))
        metrics.histogram("t").observe(0.25)
        metrics.histogram("size", unit="byte").observe(0)
        metrics.flush()
        assert texts(sink) == [f"size:0|{kind}", f"t:{value}|{kind}"]


def test_the_lines_of_telegraf(metrics: Metrics) -> None:
    with TaggedSink(telegraf) as sink:
        tags = {"env": "prod"}
        backend = TelegrafStatsD("127.0.0.1", sink.port, "shop", tags=tags, interval=3600)
        metrics.add_backend(backend)
        fed(metrics)
        metrics.flush()
        assert texts(sink) == [
            "shop.depth,env=prod:-2.5|g",
            "shop.depth,env=prod:0|g",
            "shop.request.count,env=prod,endpoint=add,outcome=ok:3|c",
            "shop.request.count,env=prod,endpoint=é_/x_y,outcome=ok:1|c",
            *["shop.request.seconds,env=prod,endpoint=add:248.410796|ms"] * 6,
            "shop.size,env=prod:0.000000|ms",
        ]
        assert sink.gauges() == {("shop.depth", (("env", "prod"),)): -2.5}


@BOTH
@pytest.mark.parametrize("datagram", [1432, 8932])
def test_no_datagram_is_over_its_bound_whatever_the_labels(
    metrics: Metrics, backend: Backend, parse: Parse, datagram: int
) -> None:
    with TaggedSink(parse) as sink:
        metrics.add_backend(
            backend("127.0.0.1", sink.port, "p" * 64, datagram=datagram, interval=3600)
        )
        labels = tuple(f"{letter}{'l' * 39}" for letter in "abcdefgh")
        calls = metrics.counter("n" * 100, labels)
        for n in range(100):
            calls.labels(*[f"{'𝄞' * 50}{n}", *["𝄞" * 100] * 7]).add(1e300)
        metrics.counter("short", ("a",)).labels("x").add()
        metrics.flush()
        assert max(len(each) for each in sink.datagrams()) < datagram
        counters = sink.counters()
        assert sum(v for (n, _), v in counters.items() if n[65:66] == "n") == pytest.approx(1e302)
        assert all(len(tags) == 8 for name, tags in counters if name[65:66] == "n")


@BOTH
def test_datagrams_are_well_filled(metrics: Metrics, backend: Backend, parse: Parse) -> None:
    with TaggedSink(parse) as sink:
        metrics.add_backend(backend("127.0.0.1", sink.port, interval=3600))
        calls = metrics.counter("calls", ("who",))
        for n in range(500):
            calls.labels(f"é{n}").add()
        metrics.flush()
        sizes = [len(each) for each in sink.datagrams()]
        assert max(sizes) < 1432
        assert min(sizes[:-1]) > 1380
        assert len(sink.counters()) == 500


@BOTH
def test_values_that_become_the_same_are_added_up(
    metrics: Metrics, backend: Backend, parse: Parse
) -> None:
    with TaggedSink(parse) as sink:
        metrics.add_backend(backend("127.0.0.1", sink.port, interval=3600))
        depth, calls = metrics.gauge("depth", ("who",)), metrics.counter("calls", ("who",))
        for value in ("a|b", "a,b", "a_b"):
            depth.labels(value).set(2)
            calls.labels(value).add()
        metrics.flush()
        assert sink.gauges() == {("depth", (("who", "a_b"),)): 6}
        assert sink.counters() == {("calls", (("who", "a_b"),)): 3}


@BOTH
def test_labels_that_cannot_be_carried_are_refused_when_the_metric_is_made(
    metrics: Metrics, backend: Backend, parse: Parse
) -> None:
    many = {f"{letter}{'x' * 39}": "y" * 64 for letter in "abcdefgh"}
    metrics.add_backend(backend("127.0.0.1", tags={"env": "prod"} | many, interval=3600))
    metrics.counter("fits", ("endpoint",))
    with pytest.raises(ConfigurationError, match="'env' is a constant tag"):
        metrics.counter("calls", ("env",))
    with pytest.raises(ConfigurationError, match="larger datagram="):
        metrics.counter("more", tuple("abcdefgh"))
    with pytest.raises(ConfigurationError, match="'endpoint' is a constant tag"):
        metrics.add_backend(backend("127.0.0.1", tags={"endpoint": "x"}))


@BOTH
@pytest.mark.parametrize(
    "options",
    [
        {"port": 0},
        {"prefix": "a|b"},
        {"interval": 0},
        {"values": 0},
        {"datagram": 511},
        {"datagram": 65508},
        {"tags": {"a b": "c"}},
        {"tags": {1: "c"}},
        {"tags": {"a": "b,c"}},
        {"tags": {"a": ""}},
        {"tags": {"a": "x" * 65}},
        {"tags": {"a": "\n"}},
        {"tags": {"a": 1}},
        {"host": f"unix:///{'x' * 107}"},
    ],
)
def test_bad_options_are_refused_at_once(
    backend: Backend, parse: Parse, options: dict[str, Any]
) -> None:
    with pytest.raises(ConfigurationError):
        backend(**({"host": "127.0.0.1"} | options))


def test_a_histogram_is_one_of_three_kinds() -> None:
    with pytest.raises(ConfigurationError, match="'d', 'h' or 'ms', got 'g'"):
        DogStatsD("127.0.0.1", histogram="g")


@BOTH
def test_without_a_host_nothing_is_sent(metrics: Metrics, backend: Backend, parse: Parse) -> None:
    made = backend(None)
    metrics.counter("calls").add()
    made.send(metrics.read())
    made.close()


def test_an_agent_that_is_started_anew_gets_what_it_missed(
    metrics: Metrics, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # A Unix socket's path is short.
    metrics.add_backend(DogStatsD("unix://dsd.socket", interval=3600))
    calls = metrics.counter("calls")
    calls.add()
    metrics.flush()  # There is none yet.
    for _ in range(3):
        with TaggedSink(dogstatsd, path="dsd.socket") as sink:
            calls.add(10)
            metrics.flush()
            metrics.flush()
            got = sink.counters()["calls", ()]
            assert got in (11, 10 + 100)
        calls.add(100)
        metrics.flush()
        Path("dsd.socket").unlink()
        metrics.flush()


def test_an_error_names_the_setting(tmp_path: Path) -> None:
    backend = DogStatsD(f"unix://{tmp_path}/none")
    with pytest.raises(UpstreamUnavailable, match=r"DOGSTATSD_HOST='unix://.*none': \[Errno 2\]"):
        backend.send([])
    with pytest.raises(UpstreamUnavailable, match=r"TELEGRAF_HOST='a\.\.b' does not resolve"):
        TelegrafStatsD("a..b").send([])


@pytest.mark.parametrize(
    "text",
    [
        *("a", "a:1|x", "a:1|c|#", "a:1|c|#a", "a:1|c|#a:", "a:1|c|#a:b,", "a:1e5|c"),
        *("a:1|c|@2|#a:b", "1a:1|c", "a:-1|ms", "a:1|c|#a:b c", "a,b=c:1|c"),
    ],
)
def test_what_is_not_dogstatsd(text: str) -> None:
    with pytest.raises(ValueError):
        dogstatsd(text.encode())


@pytest.mark.parametrize(
    "text", ["a,:1|c", "a,b:1|c", "a,b=:1|c", "a,b=c,:1|c", "a,b=c d:1|c", "a:1|c|#a:b", "a:1|d"]
)
def test_what_is_not_telegraf_s(text: str) -> None:
    with pytest.raises(ValueError):
        telegraf(text.encode())
