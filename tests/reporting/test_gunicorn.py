"""Real workers: what they raise arrives with its request's id, and their end flushes it."""

from __future__ import annotations

import contextlib
import http.client
import json
import signal
import threading
import uuid
from pathlib import Path
from typing import Any

import pytest

from falconkit.testing import wait_until
from falconkit.testing.gunicorn import Gunicorn

ROOT = Path(__file__).parents[2]
APP = "tests.reporting.apps:app"
PATIENCE = 60.0


def serve(told: Path, *args: str, **options: Any) -> Gunicorn:
    options = {"timeout": PATIENCE, "DRAIN_SECONDS": "0"} | options
    return Gunicorn(APP, *args, cwd=ROOT, TOLD=str(told), **options)


def post(server: Gunicorn, path: str, request_id: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)
    with contextlib.closing(connection):
        connection.request("POST", path, body="1", headers={"X-Request-ID": request_id})
        answer = connection.getresponse()
        answer.read()
        assert answer.headers["X-Request-ID"] == request_id
        return answer.status


def reports(told: Path) -> list[dict[str, Any]]:
    return [
        json.loads(line) for each in told.glob("*.json") for line in each.read_text().splitlines()
    ]


@pytest.mark.parametrize("args", [(), ("--preload",)], ids=["plain", "preload"])
def test_the_500s_of_every_worker_arrive_and_the_end_flushes_them(tmp_path, args):
    ids = [str(uuid.uuid4()) for _ in range(60)]
    with serve(tmp_path, *args, workers=2) as server:
        assert [post(server, "/boom", each) for each in ids] == [500] * 60
        assert [post(server, "/busy", str(uuid.uuid4())) for _ in range(5)] == [503] * 5
        assert reports(tmp_path) == []  # the hook keeps them until the end
    found = reports(tmp_path)
    assert sorted(each["request_id"] for each in found) == sorted(ids)
    assert {(each["kind"], each["endpoint"], each["path"]) for each in found} == {
        ("request", "boom", "/boom")
    }
    assert all("in boom" in each["traceback"] for each in found)
    assert all("KeyError: 'v is 1'" in each["message"] for each in found)


def test_a_hook_that_hangs_holds_up_neither_requests_nor_the_end(tmp_path):
    with serve(tmp_path, HANGS="1") as server:
        for _ in range(120):
            assert post(server, "/boom", str(uuid.uuid4())) == 500
        shown = json.loads(server.get("/debug/vars")[2])
        assert shown["errors.dropped"] >= 120 - 102
    assert "error reports are given up" in server.output()


class Asking(threading.Thread):
    """Asks for ``/stuck``, again when its worker ended, until it is told to stop."""

    def __init__(self, server: Gunicorn) -> None:
        super().__init__(daemon=True)
        self.request_id = str(uuid.uuid4())
        self.enough = threading.Event()
        self._server = server
        self.start()

    def run(self) -> None:
        while not self.enough.is_set():
            with contextlib.suppress(Exception):  # whatever the worker's end does to it
                post(self._server, "/stuck", self.request_id)


def said(told: Path, words: str) -> list[dict[str, Any]]:
    # On a busy machine other requests may be slow, too.
    found = reports(told)
    return [each for each in found if words in each["message"] and each["path"] == "/stuck"]


def test_an_abort_is_reported_by_the_worker_that_is_aborted(tmp_path):
    """Under sync, where the request itself holds up the heartbeat."""
    sync = ("-k", "sync", "--threads", "1", "--timeout", "3")
    with serve(tmp_path, *sync, AT_ONCE="1", STUCK_AFTER="600") as server:
        asking = Asking(server)
        wait_until(lambda: said(tmp_path, "aborted while it serves"), PATIENCE)
        asking.enough.set()
    [found, *_] = said(tmp_path, "aborted while it serves")
    assert (found["request_id"], found["path"]) == (asking.request_id, "/stuck")
    assert "in stuck" in "".join(found["details"]["stack"])


def test_a_stuck_request_is_reported_with_its_stack(tmp_path):
    with serve(tmp_path, AT_ONCE="1", STUCK_AFTER="0.2") as server:
        asking = Asking(server)
        wait_until(lambda: said(tmp_path, "a request is stuck"), PATIENCE)
        asking.enough.set()
        server.signal(signal.SIGQUIT)
    [found, *_] = said(tmp_path, "a request is stuck")
    assert (found["kind"], found["request_id"]) == ("log", asking.request_id)
    assert "in stuck" in "".join(found["details"]["stack"])
