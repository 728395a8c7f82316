"""Flask-Limiter and slowapi, which know nothing of us, in two real workers each."""

from __future__ import annotations

import http.client
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from falconkit.testing import wait_until
from tests.services import free_port

FLASK = """
import os, time
from flask import Flask
from flask_limiter import Limiter
import falconkit.ratelimit.arena

app = Flask("counted")
limiter = Limiter(
    lambda: "everybody", app=app, storage_uri="arena://", strategy=os.environ["STRATEGY"],
    headers_enabled=True,
)

@app.get("/ready")
def ready():
    return str(os.getpid())

@app.get("/")
@limiter.limit("20/hour")
def index():
    time.sleep(0.02)  # work, while which the other worker accepts
    return str(os.getpid())
"""

STARLETTE = """
import os
from slowapi import Limiter, _rate_limit_exceeded_handler
from slowapi.errors import RateLimitExceeded
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
import falconkit.ratelimit.arena

limiter = Limiter(
    lambda: "everybody", storage_uri="arena://", strategy=os.environ["STRATEGY"],
    config_filename="absent.env",
)

def ready(request):
    return PlainTextResponse(str(os.getpid()))

@limiter.limit("20/hour")
def index(request):
    return PlainTextResponse(str(os.getpid()))

app = Starlette(routes=[Route("/ready", ready), Route("/", index)])
app.state.limiter = limiter
app.add_exception_handler(RateLimitExceeded, _rate_limit_exceeded_handler)
"""


@dataclass
class Answer:
    status: int
    body: str
    headers: dict[str, str]


def get(port: int, path: str = "/") -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return Answer(response.status, response.read().decode(), dict(response.getheaders()))
    finally:
        connection.close()


@contextmanager
def serving(folder: Path, port: int, strategy: str, *command: str) -> Iterator[None]:
    environ = os.environ | {"STRATEGY": strategy, "FALCONKIT_RUN": str(folder / "run")}
    log = folder / f"{port}.log"
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", *command], cwd=folder, env=environ, stdout=out, stderr=out
        )
    try:
        wait_until(
            lambda: server.poll() is not None or get(port, "/ready").status == 200, timeout=30
        )
        assert server.poll() is None, log.read_text()
        yield
    finally:
        server.terminate()
        server.wait(60)


def hammer(ports: list[int], calls: int) -> list[Answer]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(lambda n: get(ports[n % len(ports)]), range(calls)))


def check(answers: list[Answer]) -> None:
    assert Counter(answer.status for answer in answers) == {200: 20, 429: len(answers) - 20}
    workers = {answer.body for answer in answers if answer.status == 200}
    assert len(workers) == 2, "both workers served"


@pytest.mark.parametrize("strategy", ["fixed-window", "sliding-window-counter", "token-bucket"])
def test_flask_limiter_holds_over_two_gunicorn_workers(tmp_path: Path, strategy: str) -> None:
    (tmp_path / "counted.py").write_text(FLASK)
    port = free_port()
    command = ("gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", "--backlog", "64", "counted:app")
    with serving(tmp_path, port, strategy, *command):
        ready: set[str] = set()
        wait_until(lambda: ready.add(get(port, "/ready").body) or len(ready) == 2)
        check(hammer([port], 60))
        last = get(port)
        assert last.status == 429
        assert last.headers["X-RateLimit-Remaining"] == "0"
        if strategy == "token-bucket":
            assert 0 < int(last.headers["Retry-After"]) <= 180


@pytest.mark.parametrize("strategy", ["fixed-window", "token-bucket"])
def test_slowapi_holds_over_two_uvicorn_processes(tmp_path: Path, strategy: str) -> None:
    (tmp_path / "counted.py").write_text(STARLETTE)
    ports = [free_port(), free_port()]
    with ExitStack() as servers:
        for port in ports:
            command = ("uvicorn", "--host", "127.0.0.1", "--port", str(port), "counted:app")
            servers.enter_context(serving(tmp_path, port, strategy, *command))
        check(hammer(ports, 60))
