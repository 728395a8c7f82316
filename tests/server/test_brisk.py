"""The parts of a brisk worker: calls to the main loop, its threads, its housekeeping."""

from __future__ import annotations

import os
import select
import threading
from typing import Any

import pytest
from gunicorn.workers.gthread import ThreadWorker

from falconkit.server.brisk import BriskWorker, Calls, Ended, Pool
from falconkit.testing import ManualClock


@pytest.fixture
def calls() -> Any:
    made = Calls()
    made.init()
    yield made
    made.close()


def readable(calls: Calls) -> bool:
    return bool(select.select([calls.fileno()], [], [], 0)[0])


def test_calls_are_made_in_order_and_wake_the_loop_once(calls: Calls) -> None:
    made: list[int] = []
    for number in range(70):
        calls.defer(made.append, number)
    assert len(os.read(calls.fileno(), 100)) == 1
    calls.run_callbacks(None)
    assert made == list(range(70))
    assert not readable(calls)


def test_a_call_that_defers_another_wakes_the_loop_again(calls: Calls) -> None:
    made: list[str] = []
    calls.defer(lambda: (made.append("first"), calls.defer(made.append, "second")))
    calls.run_callbacks(None)
    assert made == ["first"]
    assert readable(calls)
    calls.run_callbacks(None)
    assert made == ["first", "second"]


def test_no_call_of_many_threads_is_lost(calls: Calls) -> None:
    made: list[int] = []

    def deferring(first: int) -> None:
        for number in range(first, first + 200):
            calls.defer(made.append, number)

    threads = [threading.Thread(target=deferring, args=(200 * each,)) for each in range(10)]
    for thread in threads:
        thread.start()
    while len(made) < 2_000:
        assert select.select([calls.fileno()], [], [], 30)[0], "a call waits and nothing wakes"
        calls.run_callbacks(None)
    for thread in threads:
        thread.join()
    assert sorted(made) == list(range(2_000))


def test_a_call_that_raises_leaves_the_next_ones_to_be_made(calls: Calls) -> None:
    made: list[str] = []
    calls.defer(lambda: 1 / 0)
    calls.defer(made.append, "next")
    with pytest.raises(ZeroDivisionError):
        calls.run_callbacks(None)
    assert readable(calls)
    calls.run_callbacks(None)
    assert made == ["next"]


def test_a_pool_runs_as_many_jobs_at_once_as_it_has_threads() -> None:
    pool, go, running = Pool(3), threading.Event(), threading.Semaphore(0)
    most, now, lock = [0], [0], threading.Lock()

    def job() -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        running.release()
        go.wait(30)
        with lock:
            now[0] -= 1
        running.release()

    for _ in range(5):
        pool.submit(job)
    for _ in range(3):
        assert running.acquire(timeout=30)
    go.set()
    for _ in range(7):
        assert running.acquire(timeout=30)
    assert most == [3]
    pool.shutdown()
    pool.shutdown()  # as a quit after a stop


def test_the_threads_of_a_pool_end() -> None:
    pool = Pool(2)
    threads: list[threading.Thread] = []
    done = threading.Semaphore(0)

    def job() -> None:
        threads.append(threading.current_thread())
        done.release()

    for _ in range(4):
        pool.submit(job)
    for _ in range(4):
        assert done.acquire(timeout=30)
    pool.shutdown()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


def test_an_end_is_what_gunicorn_asks_a_future_for() -> None:
    assert Ended(7, None).result() == 7
    assert not Ended(7, None).cancelled()
    error = KeyError("v")
    assert Ended(None, error).exception() is error
    with pytest.raises(KeyError):
        Ended(None, error).result()


class Bookkeeping:
    """What of a worker its housekeeping uses."""

    def __init__(self, clock: ManualClock) -> None:
        self.worker = BriskWorker.__new__(BriskWorker)
        self.worker._now, self.worker._sweep_at, self.worker._sweeps = clock.monotonic, 0.0, True
        self.worker.alive = True
        self.done: list[str] = []

    def round(self) -> list[str]:
        """Go once around the main loop; returns what was done."""
        self.done.clear()
        self.worker.notify()
        assert self.worker.is_parent_alive()
        self.worker.murder_keepalived()
        self.worker.murder_pending()
        return list(self.done)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def kept(clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> Bookkeeping:
    made = Bookkeeping(clock)
    for name in ("notify", "is_parent_alive", "murder_keepalived", "murder_pending"):
        monkeypatch.setattr(
            ThreadWorker, name, lambda self, *_, name=name: made.done.append(name) or True
        )
    return made


EVERYTHING = ["notify", "is_parent_alive", "murder_keepalived", "murder_pending"]


def test_housekeeping_is_done_four_times_a_second(kept: Bookkeeping, clock: ManualClock) -> None:
    assert kept.round() == EVERYTHING
    assert kept.round() == []
    clock.advance(0.24)
    assert kept.round() == []
    clock.advance(0.02)
    assert kept.round() == EVERYTHING


def test_a_leaving_worker_does_it_each_time(kept: Bookkeeping) -> None:
    kept.round()
    kept.worker.alive = False
    assert kept.round() == EVERYTHING


def test_a_last_sweep_is_done_at_any_time(kept: Bookkeeping) -> None:
    kept.round()
    kept.done.clear()
    kept.worker.murder_keepalived(force=True)
    assert kept.done == ["murder_keepalived"]
