"""Real servers for tests, each started on loopback by whoever asks for it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest


def lacking(what: str) -> NoReturn:
    """Skip because a server is absent; fail where it must be there."""
    if os.environ.get("FALCONKIT_REQUIRE_SERVICES") == "1":
        pytest.fail(f"{what} is not installed, and FALCONKIT_REQUIRE_SERVICES=1 wants it")
    pytest.skip(f"{what} is not installed")


def require(command: str) -> str:
    """Return the path of a command, or skip the test."""
    return shutil.which(command) or lacking(command)


def free_port() -> int:
    """Return a port below those that the system gives to clients.

    One of them could take it while a server is away that is to come back to it.
    """
    while True:
        port = 10_000 + secrets.randbelow(20_000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def _child(
    argv: list[str], ready: Callable[[], bool], folder: Path, timeout: float = 60
) -> Iterator[subprocess.Popen]:
    log = folder / "server.log"
    with log.open("wb") as out:
        child = subprocess.Popen(argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + timeout
        while not ready():
            if child.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{argv[0]} did not start: {log.read_text()}")
            time.sleep(0.02)
        yield child
    finally:
        child.terminate()
        try:
            child.wait(60)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _answers(port: int, question: bytes, answer: bytes) -> Callable[[], bool]:
    def ready() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=0.5) as sock:
                sock.sendall(question)
                return answer in sock.recv(1000)
        except OSError:
            return False

    return ready


@contextlib.contextmanager
def redis_server(port: int | None = None) -> Iterator[str]:
    """Start Redis; yields its URL."""
    command = require("redis-server")
    port = port or free_port()
    with tempfile.TemporaryDirectory() as folder:
        argv = [command, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder]
        argv += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        with _child(argv, _answers(port, b"PING\r\n", b"+PONG"), Path(folder)):
            yield f"redis://127.0.0.1:{port}"


@dataclass
class StatsDaemon:
    """The StatsD daemon of npm, whose flush is so far off that it keeps what it gets."""

    port: int
    management: int

    def ask(self, question: str) -> str:
        with socket.create_connection(("127.0.0.1", self.management), timeout=5) as sock:
            sock.sendall(question.encode() + b"\n")
            answer = b""
            while b"END\n" not in answer:
                chunk = sock.recv(65536)
                if not chunk:
                    break
                answer += chunk
        return answer.decode()

    def read(self, what: str) -> dict[str, object]:
        """Read ``counters``, ``gauges`` or ``timers`` as they stand now."""
        text = self.ask(what).rpartition("END")[0]
        # What it prints is JavaScript's notation, not JSON.
        script = (
            "const text = require('fs').readFileSync(0, 'utf8');"
            "console.log(JSON.stringify(eval('(' + text + ')')))"
        )
        done = subprocess.run(
            [require("node"), "-e", script], input=text, capture_output=True, text=True, check=True
        )
        return json.loads(done.stdout)


@contextlib.contextmanager
def statsd_daemon(**settings: object) -> Iterator[StatsDaemon]:
    """Start the StatsD daemon that STATSD_JS names (``.ci/run`` installs it).

    Args:
        **settings: Of its own, as ``flushInterval``.
    """
    node, script = require("node"), os.environ.get("STATSD_JS", "")
    if not Path(script).is_file():
        lacking("the StatsD daemon (STATSD_JS names its stats.js)")
    port, management = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "config.js")
        own: dict[str, object] = {
            "address": "127.0.0.1",
            "port": port,
            "mgmt_address": "127.0.0.1",
            "mgmt_port": management,
            "backends": ["./backends/console"],
            "flushInterval": 600000,
            "automaticConfigReload": False,
        }
        config.write_text(json.dumps(own | settings))
        ready = _answers(management, b"health\n", b"health: up")
        with _child([node, script, str(config)], ready, Path(folder)):
            yield StatsDaemon(port, management)


@contextlib.contextmanager
def zipkin_server() -> Iterator[str]:
    """Start Zipkin, storage in memory, from the jar that ZIPKIN_JAR names; yields its URL."""
    java, jar = require("java"), os.environ.get("ZIPKIN_JAR", "")
    if not Path(jar).is_file():
        lacking("Zipkin (ZIPKIN_JAR names its executable jar)")
    port = free_port()
    listen = {"port": port, "ip": "127.0.0.1", "protocols[0]": "http"}
    argv = [java, "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]
    argv += [f"-Darmeria.ports[0].{name}={value}" for name, value in listen.items()]
    question = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with tempfile.TemporaryDirectory() as folder:
        argv += [f"-Djava.io.tmpdir={folder}", "-jar", jar]
        ready = _answers(port, question, b" 200 ")
        with _child(argv, ready, Path(folder), timeout=120):
            yield f"http://127.0.0.1:{port}"
