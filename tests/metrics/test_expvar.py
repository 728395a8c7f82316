from __future__ import annotations

import json

import pytest

from falconkit.arena import Arena
from falconkit.events import BackendFailed, Events, LabelsFolded
from falconkit.metrics import Metrics, count_events, expvar


def test_the_sum_and_each_series_beside_it(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    count = metrics.counter("request.count", ("endpoint", "outcome"))
    count.labels("add", "ok").add(3)
    count.labels("add", "refused").add()
    metrics.gauge("load").set(0.5)
    assert list(expvar(metrics).items()) == [
        ("load", 0.5),
        ("request.count", 4),
        ("request.count{endpoint=add,outcome=ok}", 3),
        ("request.count{endpoint=add,outcome=refused}", 1),
    ]


def test_whole_numbers_are_written_whole(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    metrics.counter("request.count").add()
    metrics.counter("bytes").add(2**60)
    metrics.counter("kilos").add(1.5)
    assert json.dumps(expvar(metrics)) == (
        f'{{"bytes": {2**60}, "kilos": 1.5, "request.count": 1}}'
    )


def test_a_histogram_by_quantiles(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    seconds = metrics.histogram("t", ("endpoint",))
    for n in range(1, 101):
        seconds.labels("add" if n % 2 else "get").observe(n / 100)
    shown = expvar(metrics)
    assert list(shown) == ["t", "t{endpoint=add}", "t{endpoint=get}"]
    assert list(shown["t"]) == ["count", "sum", "p50", "p90", "p95", "p99"]
    assert shown["t"]["count"] == 100
    assert shown["t"]["sum"] == pytest.approx(50.5)
    for name, want in (("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)):
        assert shown["t"][name] == pytest.approx(want, rel=0.01)
    assert shown["t{endpoint=add}"]["count"] == 50
    assert shown["t{endpoint=get}"]["p99"] == pytest.approx(1.0, rel=0.01)


def test_a_histogram_that_has_seen_nothing_has_null_quantiles(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    series = metrics.histogram("t").labels()
    series.observe(1.0)
    (part,) = series._parts.values()
    for at in range(part.width):
        part.set(at, 0.0)
    assert json.dumps(expvar(metrics)) == (
        '{"t": {"count": 0, "sum": 0.0, "p50": null, "p90": null, "p95": null, "p99": null}}'
    )


def test_nothing_yet(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    metrics.counter("calls")
    metrics.histogram("t", ("a",)).labels("x")
    assert expvar(metrics) == {}


def test_events_are_counted_by_kind(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    events = Events(count_events(metrics))
    events.tell(LabelsFolded("calls", 3))
    events.tell(LabelsFolded("more", 3))
    events.tell(BackendFailed("statsd", "away"))
    assert expvar(metrics) == {"event.backend_failed": 1, "event.labels_folded": 2}


def test_metrics_may_hear_their_own_events(arena: Arena) -> None:
    metrics = Metrics(arena=arena, max_series=1)
    metrics.events.listen(count_events(metrics))
    calls = metrics.counter("calls", ("who",))
    calls.labels("a").add()
    calls.labels("b").add()
    assert expvar(metrics)["event.labels_folded"] == 1
