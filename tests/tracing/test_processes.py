"""Real workers, and a Zipkin that is killed with them, away, or never answers."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from falconkit.testing import wait_until
from falconkit.testing.gunicorn import Gunicorn
from tests.services import free_port
from tests.tracing.receiver import Dripping, Receiver, Silent

ROOT = Path(__file__).parents[2]
APP = "tests.tracing.apps:app"


def serve(url: str, *args: str, **options: Any) -> Gunicorn:
    env = {"SERVICE": "counter", "ZIPKIN_URL": url, "DRAIN_SECONDS": "0"}
    return Gunicorn(APP, *args, cwd=ROOT, **(env | options))


def ask(server: Gunicorn, v: int = 1, **headers: str) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    with closing(connection):
        connection.request("POST", "/work", body=str(v), headers=headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status


def shown(server: Gunicorn) -> dict[str, Any]:
    return json.loads(server.get("/debug/vars")[2])


@pytest.mark.parametrize("args", [(), ("--preload",)], ids=["plain", "preload"])
def test_every_worker_sends_its_spans_and_flushes_at_its_end(args):
    with Receiver() as zipkin:
        with serve(zipkin.url, *args, workers=2) as server:
            assert [ask(server) for _ in range(40)] == [200] * 40
            wait_until(lambda: shown(server).get("spans.sent", 0) > 0, 60)
            assert [ask(server) for _ in range(10)] == [200] * 10
        spans = zipkin.spans()
        assert len(spans) == len({span["id"] for span in spans}) == 50
        assert len({span["traceId"] for span in spans}) == 50
        assert {span["name"] for span in spans} == {"counter_work"}


def test_kill_nine_costs_the_killed_worker_s_last_spans_and_no_request():
    with Receiver() as zipkin:
        with serve(zipkin.url, workers=2) as server:
            for _ in range(3):
                before = server.workers()
                os.kill(before[0], signal.SIGKILL)
                wait_until(
                    lambda b=before: len(server.workers()) == 2 and server.workers() != b, 60
                )
                known = len(zipkin.spans())
                # Until the master has seen it, the kernel may queue a call on what was its socket.
                assert [ask(server) for _ in range(20)] == [200] * 20
                wait_until(lambda k=known: len(zipkin.spans()) >= k + 20, 60)
        spans = zipkin.spans()
        assert len({span["id"] for span in spans}) == len(spans) == 60


def test_requests_do_not_notice_a_zipkin_that_is_away_and_comes_back():
    port = free_port()
    with serve(f"http://127.0.0.1:{port}", MOST="20", BATCH="10") as server:
        assert [ask(server) for _ in range(100)] == [200] * 100
        wait_until(lambda: shown(server).get("spans.dropped", 0) >= 50)
        wait_until(lambda: "Connection refused" in server.output(), 60)
        with Receiver(port) as zipkin:
            wait_until(zipkin.spans, 60)
            wait_until(lambda: shown(server).get("spans.sent", 0) > 0, 60)
            assert ask(server) == 200
            wait_until(lambda: "takes spans again" in server.output(), 60)
            failures = [
                line for line in shown_lines(server) if "backend failed" in line.get("message", "")
            ]
    assert len(failures) == 1


def shown_lines(server: Gunicorn) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.output().splitlines() if line.startswith("{")]


def test_requests_do_not_notice_a_zipkin_that_never_answers():
    with Silent() as zipkin:
        with serve(zipkin.url, MOST="20", BATCH="10") as server:
            assert ask(server) == 200
            wait_until(lambda: zipkin.accepted, 60)
            # From here on the thread waits for an answer, and the queue runs full.
            assert [ask(server) for _ in range(100)] == [200] * 100
            assert shown(server)["spans.dropped"] >= 60
        assert "has not taken the last" in server.output()


def test_requests_do_not_notice_a_zipkin_that_answers_a_byte_a_second():
    with Dripping() as zipkin:
        with serve(zipkin.url, MOST="20", BATCH="10") as server:
            assert ask(server) == 200
            wait_until(lambda: zipkin.dripped >= 2, 60)
            assert [ask(server) for _ in range(100)] == [200] * 100
            assert shown(server)["spans.dropped"] >= 60
            assert not shown(server).get("spans.sent")
        assert "has not taken the last" in server.output()


def test_each_line_of_every_process_carries_the_trace_s_id():
    parent = "4bf92f3577b34da6a3ce929d0e0e4736"
    with Receiver() as zipkin, serve(zipkin.url) as server:
        assert ask(server, traceparent=f"00-{parent}-00f067aa0ba902b7-01") == 200
        assert ask(server, -1, traceparent=f"00-{parent}-00f067aa0ba902b7-01") == 409
        lines = [line for line in shown_lines(server) if "request_id" in line]
    told = [(line.get("logger"), line["trace_id"]) for line in lines]
    assert {trace_id for _, trace_id in told} == {parent}
    assert sum(logger == "business" for logger, _ in told) == 2
    assert len(told) == 4


def test_two_headers_of_one_name_restart_the_trace():
    parent = "4bf92f3577b34da6a3ce929d0e0e4736"
    with Receiver() as zipkin, serve(zipkin.url) as server:
        head = f"traceparent: 00-{parent}-00f067aa0ba902b7-01\r\n" * 2
        request = f"POST /work HTTP/1.1\r\nHost: x\r\n{head}Content-Length: 1\r\n\r\n1"
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
            sock.sendall(request.encode())
            assert sock.recv(65536).startswith(b"HTTP/1.1 200")
        wait_until(zipkin.spans, 60)
        (span,) = zipkin.spans()
        assert span["traceId"] != parent
        assert "parentId" not in span
