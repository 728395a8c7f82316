"""The page of a service with several workers: any of them tells what all have seen."""

from __future__ import annotations

import http.client
import json
import os
import signal
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from falconkit.testing import wait_until
from falconkit.testing.gunicorn import Gunicorn

ROOT = Path(__file__).parents[2]
TOKEN = "0123456789abcdef"
PATIENCE = 120.0


def serve(workers: int = 2, **env: str) -> Gunicorn:
    return Gunicorn(
        "tests.debug.apps:app",
        workers=workers,
        cwd=ROOT,
        timeout=PATIENCE,
        DEBUG_PAGE="local",
        DEBUG_TOKEN=TOKEN,
        **env,
    )


@pytest.fixture
def server() -> Iterator[Gunicorn]:
    with serve() as server:
        yield server


def ask(server: Gunicorn, path: str, body: str = "1", **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    with closing(connection):
        connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
        return connection.getresponse().status


def ask_each_worker(server: Gunicorn, path: str, body: str = "1") -> set[int]:
    """Call until the state tells that each worker has served some; returns who they are."""

    def served() -> set[int]:
        ask(server, path, body)
        workers = state(server)["workers"]
        busy = {each["pid"] for each in workers if each["calls"]}
        return busy if len(busy) == 2 else set()

    return wait_until(served, PATIENCE, what="both workers have served")


def state(server: Gunicorn) -> dict[str, Any]:
    status, _, body = server.get("/debug/state", Authorization=f"Bearer {TOKEN}")
    assert status == 200
    found: dict[str, Any] = json.loads(body)
    return found


def endpoint(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in document["endpoints"] if each["name"] == name)


def test_any_worker_tells_what_happened_in_all(server):
    pids = ask_each_worker(server, "/boom")
    documents = [state(server) for _ in range(10)]
    for document in documents:
        assert {each["worker"] for each in document["errors"]} == pids
        assert {each["worker"] for each in document["slow"]} == pids
        assert {each["pid"] for each in document["workers"]} == pids
    assert {each["run"] for each in documents} == {documents[0]["run"]}


def test_counts_are_exact_whoever_answers(server):
    for _ in range(40):
        assert ask(server, "/boom") == 500

    def counted() -> bool:
        counts = [endpoint(state(server), "boom") for _ in range(6)]
        return all(each["count"] == each["error"] == 40 for each in counts)

    wait_until(counted, PATIENCE)  # what is read is a second old at most
    assert sum(each["calls"] for each in state(server)["workers"]) == 40


def test_the_errors_of_a_killed_worker_are_still_told(server):
    pids = ask_each_worker(server, "/boom")
    victim = min(pids)
    os.kill(victim, signal.SIGKILL)

    def replaced() -> bool:
        alive = {each["pid"] for each in state(server)["workers"]}
        return len(alive) == 2 and victim not in alive

    wait_until(replaced, PATIENCE)
    assert victim in {each["worker"] for each in state(server)["errors"]}
    assert {each["pid"] for each in state(server)["workers"]} == set(server.workers())


def test_a_breaker_is_forced_in_all_workers(server):
    breaker = next(each for each in state(server)["breakers"] if each["name"] == "charge")
    path = f"/debug/breakers/{breaker['id']}"
    assert ask(server, f"{path}/force-open") == 403
    assert ask(server, f"{path}/force-open", Authorization=f"Bearer {TOKEN}") == 204
    assert {ask(server, "/charge") for _ in range(10)} == {503}
    forced = next(each for each in state(server)["breakers"] if each["id"] == breaker["id"])
    assert (forced["state"], forced["forced"]) == ("forced-open", True)
    assert forced["changes"][0]["new"] == "forced-open"
    assert ask(server, f"{path}/reset", Authorization=f"Bearer {TOKEN}") == 204
    assert {ask(server, "/charge") for _ in range(10)} == {200}


def test_the_keys_that_one_worker_saw_are_told_by_all(server):
    for _ in range(6):
        ask(server, "/add", **{"X-User": "ann"})

    def told() -> bool:
        keys = [state(server)["limiters"][0]["keys"] for _ in range(6)]
        return all(each and each[0]["key"] == "add/ann" and each[0]["level"] == 1 for each in keys)

    wait_until(told, PATIENCE)
