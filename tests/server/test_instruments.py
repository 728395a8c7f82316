"""gunicorn's own metrics, under its names."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config

from falconkit.arena import Arena
from falconkit.metrics import Metrics, expvar
from falconkit.metrics.statsd import dotted
from falconkit.server.backlog import Backlog
from falconkit.server.instrumented import Logger
from tests.server.serving import Call, Held, json_of, until

SYNC = ("--worker-class", "sync", "--threads", "1")
INSTRUMENTED = ("--logger-class", "falconkit.server.instrumented.Logger")


@pytest.fixture
def metrics(tmp_path: Path) -> Metrics:
    return Metrics(arena=Arena(tmp_path / "run"))


@pytest.fixture
def listener() -> Iterator[SimpleNamespace]:
    with socket.create_server(("127.0.0.1", 0), backlog=4) as sock:
        yield SimpleNamespace(sock=sock)


def test_what_waits_to_be_accepted(metrics: Metrics, listener: SimpleNamespace) -> None:
    backlog = Backlog([listener], metrics)
    with contextlib.ExitStack() as stack:
        for waiting in range(4):
            backlog.look()
            shown = expvar(metrics)
            assert shown["gunicorn.backlog"]["count"] == waiting + 1
            assert shown["gunicorn.backlog"]["sum"] == waiting * (waiting + 1) / 2
            address = listener.sock.getsockname()
            stack.enter_context(socket.create_connection(address, timeout=30))
    assert expvar(metrics)["gunicorn.backlog_full"]["p99"] == pytest.approx(3 / 4, rel=0.01)


def test_several_queues_add_up_and_the_fullest_counts(
    metrics: Metrics, listener: SimpleNamespace
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0), backlog=100) as wide,
        socket.create_connection(wide.getsockname(), timeout=30),
        socket.create_connection(listener.sock.getsockname(), timeout=30),
    ):
        Backlog([listener, SimpleNamespace(sock=wide)], metrics).look()
    shown = expvar(metrics)
    assert shown["gunicorn.backlog"]["sum"] == 2
    assert shown["gunicorn.backlog_full"]["sum"] == pytest.approx(1 / 4)


def test_queues_that_tell_nothing(metrics: Metrics, tmp_path: Path) -> None:
    closed = socket.create_server(("127.0.0.1", 0))
    closed.close()
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "s"))
        unix.listen()
        listeners = [SimpleNamespace(sock=each) for each in (None, closed, unix)]
        Backlog(listeners, metrics).look()
    assert metrics.read() == []


def test_a_busy_server_shows_its_queue(held: Held, tmp_path: Path) -> None:
    held.hold("slow")
    run = tmp_path / "shared"
    run.mkdir()
    with held.serve("tests.server.apps:app", *SYNC, FALCONKIT_RUN=str(run)) as server:
        seen = Metrics(arena=Arena(run))
        calls = [Call(lambda: server.get("/held/slow"))]
        until(lambda: held.waiting("slow"), 60)
        # The only worker is busy: the kernel alone has accepted these.
        calls += [Call(lambda: server.get("/health/live")) for _ in range(3)]
        until(lambda: longest(seen) > 2.9, 60)
        held.let_go("slow")
        for call in calls:
            assert call.result()[0] == 200


def longest(metrics: Metrics) -> float:
    shown = expvar(metrics).get("gunicorn.backlog", {"p99": None})
    return shown["p99"] or 0.0


def test_gunicorns_own_names_for_who_asks(held: Held) -> None:
    with held.serve("tests.server.apps:app", *SYNC, *INSTRUMENTED) as server:
        before = json_of(server, "/debug/vars")
        assert server.get("/nowhere")[0] == 404
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as rubbish:
            rubbish.sendall(b"rubbish\r\n\r\n")
            assert rubbish.recv(1000).startswith(b"HTTP/1.1 400")
        # A request is counted once it is answered.
        shown = until(lambda: grown(before, json_of(server, "/debug/vars")), 60)
        assert shown["gunicorn.request.status{status=404}"] == 1
        assert shown["gunicorn.request.duration"]["count"] == shown["gunicorn.requests"]
        assert shown["gunicorn.log{level=warning}"] == 1
        assert shown["gunicorn.workers"] == 1


def grown(before: dict[str, Any], shown: dict[str, Any]) -> dict[str, Any] | None:
    return shown if shown["gunicorn.requests"] >= before.get("gunicorn.requests", 0) + 2 else None


def test_nobody_counts_them_unasked(held: Held) -> None:
    with held.serve("tests.server.apps:app", *SYNC) as server:
        assert "gunicorn.requests" not in json_of(server, "/debug/vars")


@pytest.mark.parametrize("status", ["404 Not Found", b"404 Not Found", 404])
def test_the_names_are_gunicorns(metrics: Metrics, status: str | bytes | int) -> None:
    log = Logger(Config())
    log.warning("not in a worker yet")
    log.access(SimpleNamespace(status=status), None, None, timedelta(seconds=9))
    log.count_in(metrics)
    log.access(SimpleNamespace(status=status), None, None, timedelta(seconds=0.25))
    for level in ("critical", "error", "warning", "exception"):
        getattr(log, level)("told %s", level)
    shown = expvar(metrics)
    assert shown["gunicorn.requests"] == 1
    assert shown["gunicorn.request.duration"]["sum"] == 0.25
    names = {name for each in metrics.read() for name in dotted(each.name, each.labels)}
    assert names == {
        "gunicorn.requests",
        "gunicorn.request.duration",
        "gunicorn.request.status",
        "gunicorn.request.status.404",
        "gunicorn.log",
        "gunicorn.log.critical",
        "gunicorn.log.error",
        "gunicorn.log.warning",
        "gunicorn.log.exception",
    }
