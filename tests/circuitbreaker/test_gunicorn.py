"""A client's breaker under a real gunicorn of two workers, one of which is killed."""

from __future__ import annotations

import http.client
import json
import os
import signal
from contextlib import closing
from pathlib import Path

from falconkit.testing import wait_until
from falconkit.testing.gunicorn import Gunicorn
from tests.services import free_port

SERVICE = """
import os
from falconkit import Context
from falconkit.circuitbreaker import CircuitBreaker, guard
from falconkit.transport import http
from falconkit.transport.http.client import Client

breaker = CircuitBreaker("billing", minimum_calls=20, wait=3600.0, max_wait=3600.0)
charge = guard(breaker)(Client("GET", os.environ["BILLING"], returns=dict, timeout=20.0))

def pay(ctx: Context, request: dict) -> dict:
    return charge(ctx, {}) | {"worker": os.getpid()}

app = http.app()
app.post("/pay", pay)
"""


def ask(port: int, method: str, path: str) -> tuple[int, str, str | None]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        body = "{}" if method == "POST" else None
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers["Retry-After"]


def test_one_breaker_for_both_workers(tmp_path: Path) -> None:
    (tmp_path / "service.py").write_text(SERVICE)
    nobody = f"http://127.0.0.1:{free_port()}/charge"
    with Gunicorn(
        "service:app", workers=2, cwd=tmp_path, BILLING=nobody, DEBUG_VARS="open"
    ) as server:
        failed = [ask(server.port, "POST", "/pay") for _ in range(20)]
        assert {"circuit breaker" in body for _, body, _ in failed} == {False}
        assert {status // 100 for status, _, _ in failed} == {5}
        for _ in range(20):
            status, body, retry_after = ask(server.port, "POST", "/pay")
            assert (status, body.strip()) == (503, "circuit breaker is open")
            assert retry_after is not None
            assert 1790 <= int(retry_after) <= 3600

        def shown() -> dict[str, object]:
            variables: dict[str, object] = json.loads(ask(server.port, "GET", "/debug/vars")[1])
            return variables

        assert "event.breaker_changed" in json.dumps(shown())
        assert "state=open" in json.dumps(shown())

        victim = server.workers()[0]
        os.kill(victim, signal.SIGKILL)
        wait_until(
            lambda: victim not in server.workers() and len(server.workers()) == 2,
            timeout=60,
            what="a new worker",
        )
        for _ in range(20):
            assert ask(server.port, "POST", "/pay")[1].strip() == "circuit breaker is open"
        lines = [line for line in server.output().splitlines() if "breaker changed" in line]
        assert len(lines) == 1, "told once a host"
        assert json.loads(lines[0])["why"] == "20 of 20 calls failed"
