"""Servers started on loopback, each on its core, and what is sent to them."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.section import ROOT

BODY = b'{"v":1}'
HEADERS = {"Content-Type": "application/json"}
_UP_SECONDS = 20.0


class NotStarted(Exception):
    """A peer did not come up; the report says so in its row."""


def cores() -> tuple[str, str]:
    """Return the cores of the server and of the load generator, as `taskset` takes them."""
    have = sorted(os.sched_getaffinity(0))
    return str(have[0]), str(have[-1])


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def pinned(core: str, argv: list[str]) -> list[str]:
    """Return a command that runs on one core."""
    return ["taskset", "-c", core, *argv]


def gokit_binary() -> str | None:
    """Build Go-kit's counter; None when Go, or what it is made of, is not here."""
    go = shutil.which("go")
    if go is None:
        return None
    out = Path(sys.prefix, "bin", "gokit-counter")
    argv = [go, "build", "-mod=readonly", "-o", str(out), "."]
    done = subprocess.run(argv, cwd=ROOT / "benchmarks/gokit", capture_output=True, timeout=180)
    return str(out) if done.returncode == 0 else None


class Server:
    """One peer, pinned, from its start until `close`.

    Args:
        argv: Its command; ``{port}`` stands for where it listens.
        core: Where it runs.
        log: Where its output goes: ``null``, or a pipe that is ``read`` or ``unread``.
        env: Beside this process' environment.

    Raises:
        NotStarted: It does not answer ``POST /add``.
    """

    def __init__(
        self, argv: list[str], *, core: str, log: str = "null", env: Mapping[str, str]
    ) -> None:
        self.port = free_port()
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the server
        argv = pinned(core, [each.replace("{port}", str(self.port)) for each in argv])
        try:
            self._process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env=os.environ | dict(env),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if log == "null" else subprocess.PIPE,
                stderr=self._said,
                start_new_session=True,
            )
        except OSError as ex:
            raise NotStarted(f"{argv[3]}: {ex.strerror}") from ex
        if log == "read":
            threading.Thread(target=self._read, daemon=True).start()
        try:
            self._await()
        except NotStarted:
            self.close()
            raise

    def _read(self) -> None:
        out = self._process.stdout
        while out is not None and out.read1(65536):  # type: ignore[attr-defined]
            pass

    def _await(self) -> None:
        deadline = time.monotonic() + _UP_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                self._said.seek(0)
                words = self._said.read().decode("utf-8", "replace").strip().splitlines()
                raise NotStarted(f"it ended at once: {words[-1] if words else 'without a word'}")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self._ask() == 200:
                    return
            time.sleep(0.05)
        raise NotStarted(f"it did not answer in {_UP_SECONDS:g} s")

    def _ask(self) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2)
        with contextlib.closing(connection):
            connection.request("POST", "/add", BODY, HEADERS)
            return connection.getresponse().status

    def cpu(self) -> float:
        """Return the seconds of processor time that it and its workers have used."""
        pids, ticks = [self._process.pid], 0
        for pid in pids:
            with contextlib.suppress(OSError):
                pids += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """End it, all of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._said.close()


def gunicorn(app: str, *args: str, ours: bool = False, workers: int = 1) -> list[str]:
    """Return gunicorn's command: its own defaults with 4 threads, or our settings."""
    settings = ("-c", "python:falconkit.server.gunicorn") if ours else ("--threads", "4")
    script = str(Path(sys.executable).with_name("gunicorn"))
    bind = ("--bind", "127.0.0.1:{port}", "--workers", str(workers))
    return [sys.executable, script, *settings, *bind, *args, app]


def granian(app: str) -> list[str]:
    """Return Granian's command."""
    script = str(Path(sys.executable).with_name("granian"))
    args = "--interface wsgi --host 127.0.0.1 --port {port} --workers 1 --blocking-threads 1"
    return [
        sys.executable,
        script,
        *args.split(),
        "--no-ws",
        "--runtime-mode",
        "st",
        "--log-level",
        "error",
        app,
    ]


def wrk(port: int, core: str, seconds: int, connections: int = 8) -> float:
    """Return the requests a second that ``wrk`` gets answered.

    Raises:
        RuntimeError: Some answers were no successes, so that the figure means nothing.
    """
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
    command += ["-s", str(ROOT / "benchmarks/post.lua"), f"http://127.0.0.1:{port}/add"]
    done = subprocess.run(
        pinned(core, command), capture_output=True, text=True, timeout=seconds + 30, check=True
    )
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    failed = re.search(r"(Non-2xx[^\n]*|Socket errors[^\n]*)", done.stdout)
    if rate is None or failed is not None:
        raise RuntimeError(f"wrk: {failed[0] if failed else done.stdout[-200:]}")
    return float(rate[1])


@contextlib.contextmanager
def statsd_sink() -> Iterator[int]:
    """Take what StatsD clients send, and drop it; yields the port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sink:
        sink.bind(("127.0.0.1", 0))
        yield int(sink.getsockname()[1])


@contextlib.contextmanager
def redis_server() -> Iterator[str | None]:
    """Start a Redis of our own; yields its URL, None where there is no Redis."""
    command = shutil.which("redis-server")
    if command is None:
        yield None
        return
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        argv = [command, "--port", str(port), "--bind", "127.0.0.1", "--dir", folder, "--save", ""]
        server = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            if not soon(lambda: _listens(port)):
                yield None
                return
            yield f"redis://127.0.0.1:{port}"
        finally:
            server.terminate()
            server.wait(10)


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.5).close()
    except OSError:
        return False
    return True


def soon(what: Callable[[], object], seconds: float = 10.0) -> bool:
    """Wait until something is so; return whether it was in time."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
