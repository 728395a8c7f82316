"""A real gunicorn with two workers, before a backend that serves eight at once."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from falconkit.testing import wait_until
from falconkit.testing.gunicorn import Gunicorn
from tests.shedding.backend import LONG, Backend

SETTINGS = """
from falconkit.server.gunicorn import *

threads = 16
"""
SERVICE = """
import os
import socket

from msgspec import Struct

from falconkit import Context
from falconkit.bulkhead import bulkhead, share
from falconkit.shedding import AdaptiveLimit, CoDel, Gradient2, Priority, shed
from falconkit.transport import http


class Ask(Struct):
    worth: str


def work(ctx: Context, request: Ask) -> str:
    with socket.create_connection(("127.0.0.1", int(os.environ["BACKEND"])), timeout=60) as backend:
        backend.sendall(b"x")
        assert backend.recv(1) == b"x"
    return "done"


def worth(ctx: Context, request: Ask) -> Priority:
    return Priority[request.worth]


def age(ctx: Context, request: None) -> str:
    return "young"


mine = share(8, workers=2)
app = http.app()
app.get("/bulkhead/{worth}", work, bulkhead(mine), name="by_bulkhead")
app.get("/shed/{worth}", work, shed(Gradient2(initial=mine, most=mine), priority=worth))
app.get("/age", age, shed(queue=CoDel()))
"""


class Callers:
    """Threads that call until they are served or told to stop."""

    def __init__(self, server: Gunicorn, path: str, number: int) -> None:
        self.came: Counter[int] = Counter()
        self.without_retry_after = 0
        self._server, self._path = server, path
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._call, daemon=True) for _ in range(number)]
        for thread in self._threads:
            thread.start()

    def _call(self) -> None:
        while not self._stop.is_set():
            status, headers, _ = self._server.get(self._path)
            with self._lock:
                self.came[status] += 1
                if status == 503 and not 1 <= int(headers.get("Retry-After", "0")) <= 2:
                    self.without_retry_after += 1
            if status != 503:
                return
            self._stop.wait(0.01)

    def give_up(self, but: int) -> None:
        """Let those that are being refused go, and wait until only ``but`` are left."""
        self._stop.set()
        wait_until(
            lambda: sum(each.is_alive() for each in self._threads) == but,
            LONG,
            what=f"all but {but} callers have gone",
        )

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(LONG)
            assert not thread.is_alive()


@pytest.fixture
def backend():
    with Backend() as backend:
        yield backend


@pytest.fixture
def server(tmp_path: Path, backend: Backend):
    (tmp_path / "service.py").write_text(SERVICE)
    (tmp_path / "settings.py").write_text(SETTINGS)
    with Gunicorn(
        "service:app",
        config=str(tmp_path / "settings.py"),
        cwd=tmp_path,
        workers=2,
        timeout=LONG,
        BACKEND=str(backend.port),
        TRUSTED_HOPS="1",
        DRAIN_SECONDS="0",
    ) as server:
        yield server


def test_what_is_more_than_the_bulkheads_hold_is_refused_at_once(server, backend):
    callers = Callers(server, "/bulkhead/NORMAL", 24)
    wait_until(lambda: backend.now == 8, LONG, what="both workers are full")
    # Nothing has been answered by the backend: all refusals so far came at once.
    wait_until(lambda: callers.came[503] >= 24, LONG, what="the others are refused")
    callers.give_up(but=8)
    assert server.get("/bulkhead/CRITICAL")[0] == 503
    assert server.get("/health/ready")[0] == 200
    assert backend.total == 8
    backend.go.set()
    callers.wait()
    assert set(callers.came) == {200, 503}
    assert callers.came[200] == 8
    assert callers.without_retry_after == 0
    assert backend.most == 8


def test_the_normal_are_shed_first_and_the_critical_last(server, backend):
    normal = Callers(server, "/shed/NORMAL", 16)
    wait_until(lambda: backend.now == 6, LONG, what="both workers have nine tenths")
    wait_until(lambda: normal.came[503] >= 16, LONG, what="the others are refused")
    normal.give_up(but=6)
    critical = Callers(server, "/shed/CRITICAL", 16)
    wait_until(lambda: backend.now == 8, LONG, what="both workers are full")
    wait_until(lambda: critical.came[503] >= 16, LONG, what="the others are refused")
    critical.give_up(but=2)
    assert server.get("/shed/CRITICAL")[0] == 503
    assert server.get("/health/ready")[0] == 200
    backend.go.set()
    normal.wait()
    critical.wait()
    assert (normal.came[200], critical.came[200]) == (6, 2)
    assert normal.without_retry_after == critical.without_retry_after == 0
    assert backend.most == 8


def test_what_waited_too_long_in_the_router_s_queue_is_refused(server):
    def sent(seconds_ago):
        now = time.time() - seconds_ago
        status, headers, _ = server.get("/age", **{"X-Request-Start": str(int(now * 1000))})
        return status, headers.get("Retry-After") in ("1", "2")

    assert sent(30) == (503, True)
    assert sent(-5) == (200, False)  # the router's clock is ahead of ours
    assert server.get("/age")[0] == 200
