"""Counts of several processes: exact, through forks, kills and ends of any kind."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from falconkit import Context
from falconkit.arena import Arena
from falconkit.metrics import Metrics, expvar, measure
from falconkit.metrics.statsd import StatsD
from falconkit.testing.statsd import StatsDSink

fork = multiprocessing.get_context("fork")


@pytest.fixture
def sink() -> Iterator[StatsDSink]:
    with StatsDSink() as sink:
        yield sink


@pytest.fixture
def metrics(arena: Arena, sink: StatsDSink) -> Iterator[Metrics]:
    metrics = Metrics(arena=arena)
    metrics.add_backend(StatsD("127.0.0.1", sink.port, interval=3600))
    yield metrics
    metrics.close()


def killed(work: Callable[[], object]) -> None:
    """Do ``work`` in a child, which is killed when it is done."""

    def run() -> None:
        work()
        os.kill(os.getpid(), signal.SIGKILL)

    child = fork.Process(target=run)
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL


def test_four_processes_add_up_exactly(metrics: Metrics, sink: StatsDSink) -> None:
    call = measure(metrics)(lambda ctx, v: v)

    def work() -> None:
        for n in range(1000):
            call(Context(), 1)
            if n % 250 == 249:
                metrics.flush()
        metrics.close()

    children = [fork.Process(target=work) for _ in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    shown = expvar(metrics)
    assert shown["request.count"] == 4000
    assert shown["request.seconds"]["count"] == 4000
    assert sink.counters()["request.count"] == 4000
    assert sum(n for _, n in sink.timings()["request.seconds"]) == pytest.approx(4000)
    metrics.flush()
    assert sink.counters()["request.count"] == 4000


def test_quantiles_over_all_workers_are_right_to_one_percent(metrics: Metrics) -> None:
    rng = random.Random(7)
    # Each worker sees other sizes, and one of them is killed.
    seen = [[rng.lognormvariate(worker, 1.0) for _ in range(1000)] for worker in range(4)]
    took = metrics.histogram("t", ("worker",))

    def work(worker: int) -> None:
        for value in seen[worker]:
            took.labels(f"{worker}").observe(value)

    killed(lambda: work(0))
    children = [fork.Process(target=work, args=(worker,)) for worker in (1, 2, 3)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    values = sorted(value for each in seen for value in each)
    shown = expvar(metrics)
    for q in (50, 90, 95, 99):
        want = values[q * len(values) // 100 - 1]
        assert shown["t"][f"p{q}"] == pytest.approx(want, rel=0.01)
        own = sorted(seen[0])[q * 10 - 1]
        assert shown["t{worker=0}"][f"p{q}"] == pytest.approx(own, rel=0.01)
    assert shown["t"]["count"] == 4000
    assert shown["t"]["sum"] == pytest.approx(sum(values))


def test_what_a_killed_worker_had_not_sent_is_sent_by_its_successor(
    metrics: Metrics, sink: StatsDSink
) -> None:
    calls, seconds = metrics.counter("calls", ("n",)), metrics.histogram("t")

    def work() -> None:
        for n in range(100):
            calls.labels(str(n % 5)).add()
            seconds.observe(0.1)
            if n == 29:
                metrics.flush()

    killed(work)
    assert sink.counters()["calls"] == 30
    assert expvar(metrics)["calls"] == 100
    metrics.flush()
    assert sink.counters()["calls"] == 100
    assert sink.counters()["calls.3"] == 20
    assert sum(n for _, n in sink.timings()["t"]) == pytest.approx(100)
    metrics.flush()
    assert sink.counters()["calls"] == 100


def test_twenty_kills_lose_nothing_and_never_go_back(metrics: Metrics, sink: StatsDSink) -> None:
    calls = metrics.counter("calls")
    for n in range(20):
        killed(lambda n=n: (calls.add(n + 1), n % 3 or metrics.flush()))
        assert expvar(metrics)["calls"] == (n + 1) * (n + 2) // 2
    metrics.flush()
    assert sink.counters() == {"calls": 210}


def test_gauges_end_with_their_worker(metrics: Metrics, sink: StatsDSink) -> None:
    depth = metrics.gauge("depth")
    depth.set(2)
    enough, told = fork.Event(), fork.Event()

    def live() -> None:
        depth.set(5)
        told.set()
        enough.wait(30)

    child = fork.Process(target=live)
    child.start()
    assert told.wait(30)
    assert expvar(metrics)["depth"] == 7
    metrics.flush()
    assert sink.gauges() == {"depth": 7}
    child.kill()
    child.join(60)
    assert expvar(metrics)["depth"] == 2
    metrics.flush()
    assert sink.gauges() == {"depth": 2}


def test_a_forked_child_has_a_thread_of_its_own(metrics: Metrics, sink: StatsDSink) -> None:
    calls = metrics.counter("calls")
    calls.add()
    metrics.flush()

    def work() -> None:
        assert [t for t in threading.enumerate() if t.name == "falconkit-metrics"] == []
        calls.add(10)
        assert len([t for t in threading.enumerate() if t.name == "falconkit-metrics"]) == 1
        metrics.close()

    child = fork.Process(target=work)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    calls.add(100)
    metrics.flush()
    assert sink.counters() == {"calls": 111}


def test_a_child_sends_nothing_of_what_its_parent_still_owes(
    metrics: Metrics, sink: StatsDSink
) -> None:
    calls = metrics.counter("calls")
    calls.add()
    metrics.flush()
    (backend,) = [route.backend for route in metrics._delivery._routes]
    assert isinstance(backend, StatsD)
    backend._wire._client.unsent = ["calls:10|c"]

    def work() -> None:
        calls.add(100)
        metrics.close()

    child = fork.Process(target=work)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    assert sink.counters() == {"calls": 101}
    metrics.flush()
    assert sink.counters() == {"calls": 111}


def test_a_child_owes_nothing_of_its_parents(arena: Arena, sink: StatsDSink) -> None:
    class Away(StatsD):
        def send(self, samples: object) -> None:
            raise OSError("away")

    metrics = Metrics(arena=arena)
    late = StatsD("127.0.0.1", sink.port, interval=3600)
    away = Away("127.0.0.1", interval=3600)
    metrics.add_backend(StatsD(None, interval=3600))
    metrics.add_backend(away)
    calls = metrics.counter("calls")
    calls.add()
    metrics.flush()

    def work() -> None:
        away.send = late.send
        calls.add(10)
        metrics.close()

    child = fork.Process(target=work)
    child.start()
    child.join(60)
    assert sink.counters() == {"calls": 10}
    away.send = late.send
    metrics.close()
    assert sink.counters() == {"calls": 11}
    late.close()


def test_locks_held_at_the_fork_stop_no_child(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    calls = metrics.counter("calls", ("n",))

    def work() -> None:
        calls.labels("new").add()
        metrics.counter("more").add()

    with metrics._lock, calls._lock:
        child = fork.Process(target=work)
        child.start()
        child.join(60)
        child.kill()
        child.join()
    assert child.exitcode == 0
    assert expvar(metrics) == {"calls": 1, "calls{n=new}": 1, "more": 1}


def test_a_child_that_counts_nothing_ends_at_once(metrics: Metrics, sink: StatsDSink) -> None:
    metrics.counter("calls").add()
    with metrics._delivery._lock:
        child = fork.Process(target=metrics.close)
        child.start()
        child.join(60)
    assert child.exitcode == 0
    metrics.close()
    assert sink.counters() == {"calls": 1}


@pytest.mark.parametrize("ending", ["", "sys.exit(3)", "raise SystemExit(0)", "1 / 0"])
def test_the_end_of_a_program_flushes(tmp_path: Path, sink: StatsDSink, ending: str) -> None:
    source = f"""
import sys
from falconkit.arena import Arena
from falconkit.metrics import Metrics
from falconkit.metrics.statsd import StatsD
metrics = Metrics(arena=Arena({str(tmp_path / "run")!r}))
metrics.add_backend(StatsD("127.0.0.1", {sink.port}, interval=3600))
metrics.counter("calls").add(7)
{ending}
"""
    subprocess.run([sys.executable, "-c", source], timeout=30, check=False, capture_output=True)
    assert sink.counters() == {"calls": 7}
