"""One suite for every Counter, and what only one of them has to prove."""

from __future__ import annotations

import multiprocessing
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from example_counter.service import (
    HIGH,
    LOW,
    Counter,
    MemoryCounter,
    RedisCounter,
    SQLiteCounter,
)
from falconkit.errors import Failed, OutcomeUnknown, Overloaded
from tests.services import redis_server

Make = Callable[[], Counter]


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@pytest.fixture(params=["memory", "sqlite", "redis"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Make:
    """Make a new, empty counter of one kind at each call."""
    made = iter(range(1_000_000))
    if request.param == "memory":
        return MemoryCounter
    if request.param == "sqlite":
        return lambda: SQLiteCounter(str(tmp_path / f"{next(made)}.db"))
    url = request.getfixturevalue("redis_url")
    return lambda: RedisCounter(url, f"{tmp_path}:{next(made)}")


def test_keeps_a_running_total(make: Make) -> None:
    counter = make()
    assert [counter.add(v, f"r{at}") for at, v in enumerate((1, 2, -5, 0))] == [1, 3, -2, -2]


def test_two_counters_are_apart(make: Make) -> None:
    one, other = make(), make()
    one.add(5, "r")
    assert other.add(1, "r") == 1


@pytest.mark.parametrize(("edge", "step"), [(HIGH, 1), (LOW, -1)])
def test_refuses_to_leave_64_bits_and_stays_as_it_was(make: Make, edge: int, step: int) -> None:
    counter = make()
    assert counter.add(edge, "r1") == edge
    with pytest.raises(Failed, match="64 bits"):
        counter.add(step, "r2")
    assert counter.add(0, "r3") == edge
    assert counter.add(-step, "r4") == edge - step


def test_the_same_id_twice_is_two_additions_when_both_were_answered(make: Make) -> None:
    counter = make()
    assert [counter.add(1, "fixed") for _ in range(5)] == [1, 2, 3, 4, 5]


def test_threads_lose_nothing(make: Make) -> None:
    counter = make()
    with ThreadPoolExecutor(8) as pool:
        totals = list(pool.map(lambda at: counter.add(1, f"r{at}"), range(200)))
    assert sorted(totals) == list(range(1, 201))


@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(st.integers(LOW, HIGH), max_size=8))
def test_is_a_sum_with_two_walls(make: Make, steps: list[int]) -> None:
    counter, total = make(), 0
    for at, v in enumerate(steps):
        if LOW <= total + v <= HIGH:
            total += v
            assert counter.add(v, f"r{at}") == total
        else:
            with pytest.raises(Failed):
                counter.add(v, f"r{at}")


def _add_many(path: str, times: int) -> None:
    counter = SQLiteCounter(path)
    for at in range(times):
        counter.add(1, f"r{at}")


def test_sqlite_is_right_across_processes_and_restarts(tmp_path: Path) -> None:
    path = str(tmp_path / "total.db")
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=_add_many, args=(path, 25)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert SQLiteCounter(path).add(0, "r") == 75


def _begin_together(folder: str, rounds: int, together: Any) -> None:
    for at in range(rounds):
        together.wait(60)
        SQLiteCounter(f"{folder}/{at}.db").add(1, "r")


def test_workers_that_make_the_file_at_the_same_moment_all_start(tmp_path: Path) -> None:
    fork = multiprocessing.get_context("fork")
    together = fork.Barrier(6)
    workers = [
        fork.Process(target=_begin_together, args=(str(tmp_path), 60, together)) for _ in range(6)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 6
    assert SQLiteCounter(str(tmp_path / "0.db")).add(0, "r") == 6


def test_sqlite_that_stays_locked_is_overload(tmp_path: Path) -> None:
    path = str(tmp_path / "total.db")
    counter = SQLiteCounter(path)
    counter.add(1, "r1")
    counter._connection.execute("PRAGMA busy_timeout = 0")
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(Overloaded) as caught:
        counter.add(1, "r2")
    assert caught.value.retry_after == 1
    holder.execute("ROLLBACK")
    holder.close()
    assert counter.add(1, "r3") == 2


class LosesAnswers:
    """A proxy in front of Redis that passes commands on and, once armed, drops the next answer."""

    def __init__(self, port: int) -> None:
        self.target, self.armed = port, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self.target)) as server:
            while command := client.recv(65536):
                server.sendall(command)
                answer = server.recv(65536)
                if self.armed.is_set() and b"EVALSHA" in command:
                    self.armed.clear()
                    return
                client.sendall(answer)


def test_redis_answer_that_is_lost_adds_once_when_repeated(redis_url: str, tmp_path: Path) -> None:
    proxy = LosesAnswers(int(redis_url.rpartition(":")[2]))
    counter = RedisCounter(f"redis://127.0.0.1:{proxy.port}", str(tmp_path))
    assert counter.add(5, "r1") == 5
    proxy.armed.set()
    with pytest.raises(OutcomeUnknown, match="repeat it by its id"):
        counter.add(1, "r2")
    assert RedisCounter(redis_url, str(tmp_path)).add(0, "other") == 6, "it was made, once"
    assert counter.add(1, "r2") == 6, "the repeat tells what became of the first"
    assert counter.add(1, "r2") == 7, "and is a new addition from then on"
    proxy.listener.close()


def test_redis_that_is_away_is_an_unknown_outcome_not_a_wrong_total(tmp_path: Path) -> None:
    with redis_server() as url:
        counter = RedisCounter(url, "gone")
        assert counter.add(1, "r1") == 1
    with pytest.raises(OutcomeUnknown):
        counter.add(1, "r2")
