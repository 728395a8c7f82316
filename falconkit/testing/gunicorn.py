"""A real gunicorn for a test: started as a child, waited for, ended whatever happens."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from falconkit.testing.wait import wait_until

SETTINGS = "python:falconkit.server.gunicorn"
"""What ``gunicorn -c`` is given unless a test says otherwise."""

_TRIES = 3
_TAKEN = "in use"
_OURS = ("DYNO", "FALCONKIT_RUN", "FORWARDED_ALLOW_IPS", "GUNICORN_CMD_ARGS", "WEB_CONCURRENCY")


class Gunicorn(AbstractContextManager["Gunicorn"]):
    """One gunicorn, its workers, and what they print.

    ::

        with Gunicorn("example_counter.app:app", workers=2, RATE_LIMIT="100/second") as server:
            status, headers, body = server.get("/health/live")
            server.signal(signal.SIGHUP)

    It has a process group of its own, so that all of it can be ended, and an
    environment free of what the shell has set for gunicorn.

    Args:
        app: ``MODULE:app``.
        *args: Further arguments of gunicorn.
        workers: How many.
        config: For gunicorn's ``-c``; None for its defaults.
        cwd: The folder to start it in, from which ``MODULE`` is imported.
        ready: The path that answers, with less than 500, when it is up; None
            to wait for the port only.
        timeout: Seconds that it has to come up, and to end.
        **env: Environment variables.

    Attributes:
        port: Where it listens, on loopback.
        pid: The master's.
    """

    def __init__(
        self,
        app: str,
        *args: str,
        workers: int = 1,
        config: str | None = SETTINGS,
        cwd: str | os.PathLike[str] | None = None,
        ready: str | None = "/health/ready",
        timeout: float = 60.0,
        **env: str,
    ) -> None:
        # Not `python -m gunicorn`: on USR2 it would start itself anew as a script, with
        # gunicorn's own folder first among those to import from.
        script = str(Path(sys.executable).with_name("gunicorn"))
        self._argv = [sys.executable, script, *(("-c", config) if config else ())]
        self._argv += [*args, app]
        self._workers = workers
        self._cwd = cwd
        self._ready = ready
        self._timeout = timeout
        self._env = env
        self._out: IO[bytes] | None = None
        self._said = ""
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def __enter__(self) -> Gunicorn:
        """Start it and wait until it answers.

        Raises:
            AssertionError: It ended, or did not answer in time; what it printed is told.
        """
        for left in reversed(range(_TRIES)):
            self.start()
            try:
                wait_until(self._is_up, self._timeout, what="gunicorn is up")
            except AssertionError as ex:
                said = self.output()
                self.kill()
                if left and _TAKEN in said:
                    continue
                raise AssertionError(f"{ex}\n{said}") from None
            break
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        """End it: with SIGTERM, or at once when the test has failed."""
        try:
            if kind is None:
                self.stop()
        finally:
            self.kill()
            if kind is not None:
                print(self.output()[-8000:])

    def start(self) -> None:
        """Start it on a free port and do not wait."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._out = tempfile.TemporaryFile(prefix="gunicorn-")  # noqa: SIM115 - closed by kill
        bind = f"127.0.0.1:{self.port}"
        self._process = subprocess.Popen(  # noqa: S603 - its own interpreter
            [*self._argv[:-1], "--bind", bind, self._argv[-1]],
            cwd=self._cwd,
            env=environment({"WEB_CONCURRENCY": str(self._workers), **self._env}),
            stdin=subprocess.DEVNULL,
            stdout=self._out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The master, as it was started."""
        if self._process is None:
            raise AssertionError("gunicorn was not started")
        return self._process

    @property
    def pid(self) -> int:
        """The master's process id."""
        return self.process.pid

    def workers(self, master: int | None = None) -> list[int]:
        """Return the process ids of the workers that live, the oldest first."""
        return [pid for pid in sorted(_children(master or self.pid)) if _state(pid) not in "ZX"]

    def signal(self, number: int) -> None:
        """Send the master a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Wait until the master has ended; returns its exit status."""
        return self.process.wait(self._timeout)

    def stop(self) -> int:
        """Send the master a SIGTERM, unless it has ended; returns its exit status."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        return self.wait()

    def kill(self) -> None:
        """End whatever is left of it, at once."""
        process = self._process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if self._out is not None:
            self._said = self.output()
            self._out.close()
            self._out = None

    def output(self) -> str:
        """Return all that master and workers have printed so far."""
        if self._out is None:
            return self._said
        size = os.fstat(self._out.fileno()).st_size
        return os.pread(self._out.fileno(), size, 0).decode("utf-8", "replace")

    def get(self, path: str, **headers: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Make one call on a fresh connection: status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self._timeout)
        with contextlib.closing(connection):
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()

    def _is_up(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"gunicorn ended with status {self.process.returncode}")
        if self._ready is None:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            return len(self.workers()) >= self._workers
        try:
            status, _, _ = self.get(self._ready)
        except http.client.HTTPException:
            return False
        return status < 500 and len(self.workers()) >= self._workers


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """Return this process' environment without what is meant for another gunicorn, and ``env``.

    >>> environment({"PORT": "8000"})["PORT"]
    '8000'
    """
    return {name: value for name, value in os.environ.items() if name not in _OURS} | dict(env)


def _children(pid: int) -> Sequence[int]:
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return ()
    return [int(each) for each in listed.split()]


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return "X"
