"""How workers leave: a stop is told to the router, a reload to nobody, and no call fails."""

from __future__ import annotations

import http.client
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.load import Load, answer, request
from tests.server.serving import (
    APP,
    PLAIN,
    Call,
    Held,
    gone,
    json_of,
    lines,
    refused,
    replaced,
    said,
    until,
)

RELOADS = int(os.environ.get("FALCONKIT_RELOADS", "4"))
DRAIN = {"DRAIN_SECONDS": "1.5"}


@pytest.mark.parametrize("everybody", [False, True], ids=["master", "all processes"])
def test_a_stop_is_announced_and_calls_are_taken_for_a_while(held: Held, everybody: bool):
    with held.serve(workers=2, **DRAIN) as server:
        held.hold("call")
        in_flight = Call(lambda: server.get("/held/call"))
        until(lambda: held.waiting("call"))
        for pid in [server.pid, *(server.workers() if everybody else ())] * 2:  # twice, as it comes
            os.kill(pid, signal.SIGTERM)
        until(lambda: server.get("/health/ready")[0] == 503)
        status, headers, _ = server.get("/held/other")
        assert (status, headers["Connection"]) == (200, "close")
        until(lambda: refused(server))
        held.let_go("call")
        status, headers, body = in_flight.result()
        assert (status, int(body)) == (200, *held.waiting("call"))
        assert server.wait() == 0
        closed = [line["pid"] for line in lines(server) if line.get("app") == "closed"]
        assert len(closed) == 2


def test_an_app_of_no_framework_is_drained_too(held: Held):
    with held.serve(PLAIN, **DRAIN) as server, closing(connect(server.port)) as kept:
        assert call_on(kept, "/")[1]["Connection"] == "keep-alive"
        server.signal(signal.SIGTERM)
        until(lambda: said(server, "Draining"))
        assert call_on(kept, "/")[1]["Connection"] == "close"
        assert server.wait() == 0


def test_a_connected_call_is_answered_although_the_drain_is_over(held: Held):
    with held.serve(APP, "--threads", "1") as server:
        held.hold("call")
        first = Call(lambda: server.get("/held/call"))
        until(lambda: held.waiting("call"))
        with socket.create_connection(("127.0.0.1", server.port)) as second:
            second.sendall(request("/held/next", b"", "GET"))
            server.signal(signal.SIGTERM)
            until(lambda: refused(server))
            held.let_go("call")
            assert first.result()[0] == 200
            assert answer(second)[0] == 200
        assert server.wait() == 0


def test_a_request_that_never_ends_is_cut_off_and_named(held: Held):
    with held.serve(APP, "--graceful-timeout", "2") as server:
        held.hold("call")
        parent = f"00-{'b' * 32}-{'c' * 16}-01"
        sent = {"X-Request-ID": "a" * 20, "traceparent": parent}
        cut = Call(lambda: server.get("/held/call", **sent))
        until(lambda: held.waiting("call"))
        assert server.stop() == 0
        [line] = said(server, "a request is cut off")
        assert (line["request_id"], line["trace_id"]) == ("a" * 20, "b" * 32)
        assert line["path"] == "/held/call"
        assert [each for each in lines(server) if each.get("app") == "closed"], "flushed"
        assert not said(server, "SIGKILL")
        cut.join(60)
        assert isinstance(cut.error, http.client.RemoteDisconnected | ConnectionError)


def test_reloads_fail_no_call_and_are_never_seen(held: Held):
    with held.serve(workers=2, DRAIN_SECONDS="5") as server:
        payload = request("/held/nothing", b"", "GET")
        ready = request("/health/ready", b"", "GET")
        with (
            Load(
                server.port, threads=2, kept=False, seconds=300, pause=0.003, payload=payload
            ) as one,
            Load(
                server.port, threads=2, kept=True, seconds=300, pause=0.003, payload=payload
            ) as two,
            Load(
                server.port, threads=1, kept=False, seconds=300, pause=0.01, payload=ready
            ) as probe,
        ):
            for _ in range(RELOADS):
                before = set(server.workers())
                server.signal(signal.SIGHUP)
                until(lambda: replaced(server, before, 2), 30)  # noqa: B023
            fresh, kept, probed = one.stop(), two.stop(), probe.stop()
        assert not said(server, "Draining")
    for outcomes in (fresh, probed):
        assert (set(outcomes.statuses), outcomes.cut_unused, dict(outcomes.cut)) == ({200}, 0, {})
    # A kept connection may be closed between two calls, before a byte of an answer.
    assert (set(kept.statuses), dict(kept.cut)) == ({200}, {})


def test_a_call_in_flight_ends_on_the_old_worker_of_a_reload(held: Held):
    with held.serve(DRAIN_SECONDS="5") as server:
        held.hold("call")
        [old] = server.workers()
        in_flight = Call(lambda: server.get("/held/call"))
        until(lambda: held.waiting("call"))
        server.signal(signal.SIGHUP)
        until(lambda: json_of(server, "/environ")["pid"] != old)
        held.let_go("call")
        assert int(in_flight.result()[2]) == old
        until(lambda: gone(old))


def test_the_old_workers_serve_until_the_new_ones_do(held: Held):
    with held.serve() as server:
        [old] = server.workers()
        held.hold("import")
        loaded = set(held.waiting("import"))
        server.signal(signal.SIGHUP)
        until(lambda: set(held.waiting("import")) - loaded)
        assert json_of(server, "/environ")["pid"] == old
        held.let_go("import")
        until(lambda: replaced(server, {old}))
        assert json_of(server, "/environ")["pid"] != old


def test_a_stop_during_a_reload_is_heard(held: Held):
    with held.serve() as server:
        held.hold("import")
        loaded = set(held.waiting("import"))
        server.signal(signal.SIGHUP)
        until(lambda: set(held.waiting("import")) - loaded)
        server.signal(signal.SIGTERM)
        until(lambda: said(server, "Handling signal: term") or refused(server))
        held.let_go("import")
        assert server.wait() == 0


def test_silent_connections_do_not_hold_a_reload_up(held: Held):
    with held.serve() as server, closing(connect(server.port)) as kept:
        call_on(kept, "/environ")
        [old] = server.workers()
        with (
            socket.create_connection(("127.0.0.1", server.port)),
            socket.create_connection(("127.0.0.1", server.port)) as half,
        ):
            half.sendall(b"GET / HTTP/1.1\r\n")
            server.get("/environ")
            server.signal(signal.SIGHUP)
            until(lambda: gone(old), 10)  # the grace would be 25 s


def test_usr2_passes_the_run_directory_on(held: Held):
    with held.serve() as server:
        run = json_of(server, "/environ")["run"]
        [old] = server.workers()
        server.signal(signal.SIGUSR2)
        until(lambda: len(server.workers()) == 2)
        master = next(pid for pid in server.workers() if pid != old)
        until(lambda: server.workers(master))
        with ended(master):
            [new] = server.workers(master)
            until(lambda: json_of(server, "/environ")["pid"] == new)
            assert json_of(server, "/environ")["run"] == run
            assert server.stop() == 0
            assert server.get("/health/ready")[0] == 200
            assert os.path.isdir(run)
        until(lambda: not os.path.exists(run))
    assert not said(server, "Draining: new calls are taken for 5"), "nobody had to notice"


class ended:
    """Ends a master that is no child of ours."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        os.kill(self.pid, signal.SIGTERM)


def test_two_workers_more_and_one_less(held: Held):
    with held.serve(DRAIN_SECONDS="5") as server:
        server.signal(signal.SIGTTIN)
        until(lambda: len(server.workers()) == 2)
        server.signal(signal.SIGTTOU)
        until(lambda: len(server.workers()) == 1)
        assert server.get("/health/ready")[0] == 200
        assert not said(server, "Draining")
        server.signal(signal.SIGQUIT)
        assert server.wait() == 0


def connect(port: int) -> http.client.HTTPConnection:
    return http.client.HTTPConnection("127.0.0.1", port, timeout=20)


def call_on(kept: http.client.HTTPConnection, path: str) -> tuple[int, http.client.HTTPMessage]:
    kept.request("GET", path)
    got = kept.getresponse()
    got.read()
    return got.status, got.headers


@pytest.fixture(autouse=True)
def nothing_stays(held: Held) -> Iterator[None]:
    yield
    for each in held.folder.iterdir():
        if not each.name.endswith(".waits"):
            each.unlink()
