from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from falconkit.arena import Arena
from falconkit.errors import ConfigurationError
from falconkit.events import BackendFailed, Event, Events
from falconkit.metrics import Distribution, Metrics, Sample, delivery, expvar
from falconkit.metrics.dogstatsd import DogStatsD
from falconkit.testing import wait_until


class Recorder:
    """A backend that keeps what it is sent, and fails when told to."""

    interval = 3600.0

    def __init__(self, name: str = "recorder", *, interval: float = 3600.0) -> None:
        self.name, self.interval = name, interval
        self.fails = False
        self.closed = 0
        self.tries = 0
        self.got: dict[tuple[str, ...], float | Distribution] = {}

    def send(self, samples: Sequence[Sample], /) -> None:
        self.tries += 1
        if self.fails:
            raise OSError(f"{self.name} is away")
        for each in samples:
            key = (each.name, *(value for _, value in each.labels))
            if each.kind == "gauge":
                self.got[key] = each.value
            elif isinstance(each.value, Distribution):
                mine = self.got.setdefault(key, Distribution())
                assert isinstance(mine, Distribution)
                mine.merge(each.value)
            else:
                self.got[key] = self.got.get(key, 0.0) + each.value

    def close(self) -> None:
        self.closed += 1


Threads = Callable[[], list[threading.Thread]]


@pytest.fixture
def threads() -> Threads:
    """Return the flush threads that the test has started."""
    others = threading.enumerate()
    return lambda: [
        each
        for each in threading.enumerate()
        if each.name == "falconkit-metrics" and each not in others
    ]


def test_a_backend_gets_differences_and_gauges_as_they_are(arena: Arena) -> None:
    metrics, backend = Metrics(arena=arena), Recorder()
    metrics.add_backend(backend)
    for _ in range(3):
        metrics.counter("calls").add(2)
        metrics.gauge("depth").set(7)
        metrics.histogram("t").observe(0.5)
        metrics.flush()
    assert backend.got == {
        ("calls",): 6.0,
        ("depth",): 7.0,
        ("t",): Distribution.of([0.5] * 3),
    }
    metrics.close()


def fail_and_recover(metrics: Metrics) -> None:
    backend = Recorder()
    metrics.add_backend(backend)
    for fails in (True, True, False, True, False):
        backend.fails = fails
        metrics.counter("calls").add()
        metrics.histogram("t").observe(1.0)
        metrics.flush()
    assert backend.got == {("calls",): 5.0, ("t",): Distribution.of([1.0] * 5)}
    metrics.close()


def test_a_failed_interval_is_added_to_the_next(
    arena: Arena, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        fail_and_recover(Metrics(arena=arena))
    assert [record.message for record in caplog.records] == [
        "metrics are not sent to recorder, trying again: recorder is away",
        "recorder takes metrics again",
    ] * 2


def test_who_listens_hears_of_it_and_writes_the_line(
    arena: Arena, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Event] = []
    fail_and_recover(Metrics(arena=arena, events=Events(heard.append)))
    assert heard == [BackendFailed("recorder", "recorder is away")] * 2
    assert caplog.records == []


def test_one_of_two_backends_misses_some_intervals(arena: Arena) -> None:
    metrics, good, bad = Metrics(arena=arena), Recorder("good"), Recorder("bad")
    metrics.add_backend(good)
    metrics.add_backend(bad)
    depth = metrics.gauge("depth")
    for n, (good.fails, bad.fails) in enumerate(
        [(False, True), (True, True), (False, True), (True, False), (False, False)]
    ):
        metrics.counter("calls").add(10**n)
        metrics.histogram("t").observe(n)
        depth.set(n)
        metrics.flush()
    want = {("calls",): 11111.0, ("t",): Distribution.of([0, 1, 2, 3, 4]), ("depth",): 4.0}
    assert good.got == want
    assert bad.got == want
    metrics.close()


def test_a_backend_that_raises_anything_is_only_told_of(
    arena: Arena, caplog: pytest.LogCaptureFixture
) -> None:
    metrics, backend = Metrics(arena=arena), Recorder()

    def explode(samples: Sequence[Sample]) -> None:
        raise ZeroDivisionError

    backend.send = explode
    metrics.add_backend(backend)
    metrics.counter("calls").add()
    metrics.flush()
    assert caplog.records[0].message.endswith("trying again: ZeroDivisionError()")
    metrics.close()


def test_an_arena_that_cannot_be_read_is_only_told_of(
    arena: Arena, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    metrics, backend = Metrics(arena=arena), Recorder()
    metrics.add_backend(backend)
    monkeypatch.setattr(arena.slots("metrics"), "unsent", None)
    metrics.flush()
    assert caplog.records[0].message == "metrics could not be read for sending; trying again"
    assert backend.tries == 0


def test_the_thread_starts_with_the_first_count(arena: Arena, threads: Threads) -> None:
    metrics, backend = Metrics(arena=arena), Recorder(interval=0.01)
    metrics.add_backend(backend)
    counter = metrics.counter("calls")
    assert threads() == []
    counter.add()
    (thread,) = threads()
    assert thread.daemon
    wait_until(lambda: backend.got.get(("calls",)) == 1.0)
    counter.add()
    wait_until(lambda: backend.got.get(("calls",)) == 2.0)
    metrics.close()
    assert threads() == []
    assert backend.closed == 1


def test_a_backend_added_late_gets_a_thread_too(arena: Arena, threads: Threads) -> None:
    metrics, first, second = Metrics(arena=arena), Recorder(), Recorder(interval=0.01)
    metrics.counter("calls").add()
    assert threads() == []
    metrics.add_backend(first)
    (thread,) = threads()
    metrics.add_backend(second)
    assert threads() == [thread]
    metrics.close()
    assert first.got == second.got == {("calls",): 1.0}


def test_no_thread_without_a_backend(arena: Arena, threads: Threads) -> None:
    metrics = Metrics(arena=arena)
    metrics.counter("calls").add()
    metrics.flush()
    metrics.close()
    assert threads() == []


def test_the_end_flushes_a_last_time(arena: Arena) -> None:
    metrics, backend = Metrics(arena=arena), Recorder()
    metrics.add_backend(backend)
    metrics.counter("calls").add(3)
    metrics.close()
    assert backend.got == {("calls",): 3.0}
    metrics.close()
    assert (backend.tries, backend.closed) == (1, 2)


def test_a_backend_that_hangs_slows_nobody(
    arena: Arena,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    threads: Threads,
) -> None:
    monkeypatch.setattr(delivery, "_LAST_FLUSH", 0.02)
    metrics, backend = Metrics(arena=arena), Recorder(interval=0.01)
    entered, leave = threading.Event(), threading.Event()

    def hang(samples: Sequence[Sample]) -> None:
        entered.set()
        assert leave.wait(20)

    backend.send = hang
    metrics.add_backend(backend)
    metrics.counter("calls").add()
    assert entered.wait(10)
    (thread,) = threads()
    metrics.counter("calls").add()
    assert expvar(metrics) == {"calls": 2}
    metrics.close()
    assert caplog.records[-1].message == "the last flush of metrics took over 0.02 s: given up"
    assert backend.closed == 0
    leave.set()
    thread.join(60)


@pytest.mark.parametrize("order", [lambda found: found, lambda found: found[::-1]])
def test_the_shortest_interval_counts(
    arena: Arena, order: Callable[[list[Recorder]], list[Recorder]]
) -> None:
    metrics = Metrics(arena=arena)
    slow, quick = Recorder(), Recorder(interval=0.01)
    for backend in order([slow, quick]):
        metrics.add_backend(backend)
    metrics.counter("calls").add()
    wait_until(lambda: quick.got and slow.got)
    metrics.close()


@pytest.mark.parametrize("backend", [None, "statsd", object(), Recorder])
def test_what_is_no_backend_is_refused(arena: Arena, backend: Any) -> None:
    with pytest.raises(ConfigurationError, match="a backend has name, interval"):
        Metrics(arena=arena).add_backend(backend)


def test_the_counter_of_what_is_refused_fits_every_backend(arena: Arena) -> None:
    # Nothing may raise because of a number, so it is tried when the backend is added.
    with pytest.raises(ConfigurationError, match="'metric' is a constant tag"):
        Metrics(arena=arena).add_backend(DogStatsD(None, tags={"metric": "x"}))
