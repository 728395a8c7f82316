from __future__ import annotations

import logging
import math
import threading

import pytest

from falconkit.arena import Arena
from falconkit.errors import ConfigurationError
from falconkit.events import Event, Events, LabelsFolded
from falconkit.metrics import Distribution, Metrics, expvar


def values(metrics: Metrics) -> dict[tuple[str, ...], object]:
    return {(each.name, *(v for _, v in each.labels)): each.value for each in metrics.read()}


def test_counter_gauge_and_histogram_without_labels(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    metrics.counter("jobs").add()
    metrics.counter("jobs").add(2.5)
    metrics.gauge("depth").set(7)
    metrics.gauge("depth").add(-2)
    metrics.gauge("depth").add()
    metrics.histogram("size", unit="byte").observe(1000)
    assert values(metrics) == {
        ("jobs",): 3.5,
        ("depth",): 6.0,
        ("size",): Distribution.of([1000.0]),
    }


def test_labels_by_place_and_by_name_are_one_series(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    calls = metrics.counter("calls", ("endpoint", "outcome"))
    assert calls.labels("add", "ok") is calls.labels(outcome="ok", endpoint="add")
    calls.labels("add", "ok").add()
    calls.labels(endpoint="add", outcome="ok").add()
    assert values(metrics) == {("calls", "add", "ok"): 2.0}


def test_an_instrument_is_there_once(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    assert metrics.counter("calls", ("a",)) is metrics.counter("calls", ("a",))
    assert metrics.histogram("t") is metrics.histogram("t", unit="s")


def test_two_metrics_of_one_arena_show_the_same(arena: Arena) -> None:
    one, other = Metrics(arena=arena), Metrics(arena=arena)
    one.counter("calls").add()
    other.counter("calls").add()
    assert values(one) == values(other) == {("calls",): 2.0}


@pytest.mark.parametrize(
    "again",
    [
        lambda metrics: metrics.gauge("calls", ("a",)),
        lambda metrics: metrics.counter("calls"),
        lambda metrics: metrics.counter("calls", ("b",)),
        lambda metrics: metrics.histogram("calls", ("a",)),
    ],
)
def test_another_shape_is_refused(arena: Arena, again: object) -> None:
    metrics = Metrics(arena=arena)
    metrics.counter("calls", ("a",))
    with pytest.raises(ConfigurationError, match=r"calls is a counter with labels \('a',\)"):
        again(metrics)


def test_another_unit_is_refused(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    metrics.histogram("size", unit="byte")
    with pytest.raises(ConfigurationError, match="unit 'byte' already"):
        metrics.histogram("size")


@pytest.mark.parametrize(
    "name", ["", "9lives", "a b", "a:1|c", "a\nb", "x" * 101, "é", None, 5, "a{b=c}"]
)
def test_names_that_backends_cannot_carry(arena: Arena, name: str) -> None:
    with pytest.raises(ConfigurationError, match="a metric's name is"):
        Metrics(arena=arena).counter(name)


@pytest.mark.parametrize("labels", ["ab", ("a", "a"), tuple("abcdefghi")])
def test_too_many_labels(arena: Arena, labels: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError, match="at most 8 different label names"):
        Metrics(arena=arena).counter("calls", labels)


@pytest.mark.parametrize("label", ["", "a.b", "9", "x" * 41, None])
def test_label_names_that_backends_cannot_carry(arena: Arena, label: str) -> None:
    with pytest.raises(ConfigurationError, match="a label's name is"):
        Metrics(arena=arena).counter("calls", (label,))


def test_wrong_labels_are_said(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    calls = metrics.counter("calls", ("endpoint", "outcome"))
    wrong = [
        lambda: calls.labels(),
        lambda: calls.labels("add"),
        lambda: calls.labels("add", "ok", "more"),
        lambda: calls.labels(endpoint="add"),
        lambda: calls.labels(endpoint="add", result="ok"),
        lambda: calls.labels("add", outcome="ok"),
        lambda: calls.labels(endpoint="add", outcome="ok", more="x"),
    ]
    for each in wrong:
        with pytest.raises(ConfigurationError, match="calls has the labels"):
            each()
    with pytest.raises(ConfigurationError, match=r"calls has labels: use calls\.labels"):
        calls.add()
    with pytest.raises(ConfigurationError, match="has labels"):
        metrics.gauge("g", ("a",)).set(1)
    with pytest.raises(ConfigurationError, match="has labels"):
        metrics.histogram("h", ("a",)).observe(1)
    assert metrics.read() == []


def test_max_series_is_checked(arena: Arena) -> None:
    with pytest.raises(ConfigurationError, match="max_series is at least 1, got 0"):
        Metrics(arena=arena, max_series=0)


def fold(metrics: Metrics) -> None:
    calls = metrics.counter("calls", ("user", "kind"))
    for user in range(10):
        calls.labels(str(user), "k").add()
    calls.labels("1", "k").add()


def test_past_the_bound_new_label_sets_are_other(
    arena: Arena, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Event] = []
    metrics = Metrics(arena=arena, max_series=3, events=Events(heard.append))
    fold(metrics)
    metrics.counter("free", ("user",)).labels("a").add()
    assert values(metrics) == {
        ("calls", "0", "k"): 1.0,
        ("calls", "1", "k"): 2.0,
        ("calls", "2", "k"): 1.0,
        ("calls", "other", "other"): 7.0,
        ("free", "a"): 1.0,
    }
    assert heard == [LabelsFolded("calls", 3)]
    assert caplog.records == []  # who listens writes the line


def test_folding_is_warned_of_once_when_nobody_listens(
    arena: Arena, caplog: pytest.LogCaptureFixture
) -> None:
    fold(Metrics(arena=arena, max_series=3))
    assert [record.message for record in caplog.records] == [
        "calls has 3 series, the most it may have (max_series): new label values are "
        "counted as 'other'"
    ]


def test_label_values_are_cleaned_and_cut(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    calls = metrics.counter("calls", ("who",))

    class Unprintable:
        def __str__(self) -> str:
            raise RuntimeError

    for value in ("a\nb\x00c\x1b", "\ud800", "x" * 200, "", Unprintable(), 404, True, 1, [], None):
        calls.labels(value).add()
    assert values(metrics) == {
        ("calls", "a_b_c_"): 1.0,
        ("calls", "_"): 3.0,
        ("calls", "x" * 64): 1.0,
        ("calls", "404"): 1.0,
        ("calls", "True"): 1.0,
        ("calls", "1"): 1.0,
        ("calls", "[]"): 1.0,
        ("calls", "None"): 1.0,
    }


@pytest.mark.parametrize("amount", [-1, -0.001, math.inf, -math.inf, math.nan])
def test_a_counter_drops_what_it_cannot_take(
    arena: Arena, amount: float, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics(arena=arena)
    with caplog.at_level(logging.WARNING):
        metrics.counter("calls").add(amount)
        metrics.counter("calls").add(amount)
    assert expvar(metrics) == {"metrics.refused": 2, "metrics.refused{metric=calls}": 2}
    assert [record.message for record in caplog.records] == [
        f"calls cannot take {amount!r}: dropped, and counted in metrics.refused"
    ]


def test_the_count_of_what_was_dropped_drops_too(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    metrics.counter("metrics.refused", ("metric",)).labels("calls").add(-1)
    assert expvar(metrics) == {}


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_gauges_drop_what_is_no_number(arena: Arena, value: float) -> None:
    metrics = Metrics(arena=arena)
    metrics.gauge("depth").set(3)
    metrics.gauge("depth").set(value)
    metrics.gauge("depth").add(value)
    assert values(metrics) == {("depth",): 3.0, ("metrics.refused", "depth"): 2.0}


def test_a_histogram_takes_any_number(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    seconds = metrics.histogram("t")
    for value in (0.0, -5.0, 1e-12, 0.25, 1e15, math.nan, math.inf):
        seconds.observe(value)
    seen = values(metrics)[("t",)]
    assert isinstance(seen, Distribution)
    assert (seen.count, seen.sum) == (5, 1e15 + 0.25 + 1e-12)
    assert seen.quantile(0.6) == 0.0
    assert seen.quantile(0.8) == pytest.approx(0.25, rel=0.01)
    assert seen.quantile(1.0) == pytest.approx(1e12, rel=0.02)
    assert values(metrics)[("metrics.refused", "t")] == 2.0


def test_a_hundred_threads_lose_no_count(arena: Arena) -> None:
    metrics = Metrics(arena=arena, max_series=5)
    calls, seconds = metrics.counter("calls", ("n",)), metrics.histogram("t", ("n",))
    depth = metrics.gauge("depth")
    ready = threading.Barrier(100)

    def work(me: int) -> None:
        ready.wait()
        for n in range(200):
            calls.labels(str((me + n) % 10)).add()
            seconds.labels("all").observe(0.001 * (1 + n % 7))
            depth.add(1 if n % 2 else -1)

    threads = [threading.Thread(target=work, args=(me,)) for me in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown = expvar(metrics)
    assert shown["calls"] == 20_000
    assert len([name for name in shown if name.startswith("calls{")]) == 6
    assert shown["t"]["count"] == 20_000
    assert shown["depth"] == 0


def test_what_others_keep_in_the_arena_is_left_out(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    slots = arena.slots("metrics")
    for key in ("plain", "[1]", '["ratio","x","",[],0]', '["counter","x","",[1],0]', "[[]]"):
        slots.series(key, 1).add(0, 1.0)
    metrics.counter("calls").add()
    assert values(metrics) == {("calls",): 1.0}


def test_damaged_cells_do_not_stop_the_rest(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    metrics.counter("calls").add()
    bad = metrics.counter("bad").labels()
    bad.store.set(0, math.nan)
    metrics.histogram("t").observe(1.0)
    next(iter(metrics.histogram("t").labels()._parts.values())).set(0, math.inf)
    shown = expvar(metrics)
    assert (shown["calls"], shown["bad"]) == (1, 0)
    assert shown["t"]["sum"] == 0.0
