"""Starts the example under a real gunicorn, in a folder of its own."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.load import get, poll
from tests.services import free_port

ROOT = Path(__file__).parents[2]
COMMAND = "gunicorn -c python:falconkit.server.gunicorn example_counter.app:app"


class Server(AbstractContextManager["Server"]):
    """One gunicorn master and its workers."""

    def __init__(self, folder: Path, command: str, args: tuple[str, ...], env: dict[str, str]):
        self.port = free_port()
        self.concurrency = int(env.get("WEB_CONCURRENCY", "2"))
        self._log = folder / f"gunicorn-{self.port}.log"
        name, *rest = shlex.split(command)
        argv = [str(Path(sys.executable).parent / name), *rest, *args]
        with self._log.open("wb") as out:
            self.process = subprocess.Popen(
                argv,
                cwd=ROOT,
                env=clean_environment()
                | {"COUNTER_DB": str(folder / "counter.db")}
                | {"PORT": str(self.port)}
                | env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.pid = self.process.pid

    def __enter__(self) -> Server:
        def ready() -> bool:
            assert self.process.poll() is None, self.output()
            try:
                return get(self.port, "/health/ready")[0] == 200
            except OSError:
                return False

        poll(ready)
        poll(lambda: len(self.workers()) == self.concurrency)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM if kind is None else signal.SIGQUIT)
            try:
                self.wait()
            except subprocess.TimeoutExpired:
                for pid in [*self.workers(), self.pid]:
                    os.kill(pid, signal.SIGKILL)
                self.process.wait()
                raise
        if kind is not None:
            print(self.output()[-5000:])

    def wait(self) -> int:
        return self.process.wait(40)

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def workers(self) -> list[int]:
        """Pids of the live workers, the oldest first."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        alive = []
        for pid in children.read_text().split() if children.exists() else []:
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if state != "Z":
                alive.append(int(pid))
        return sorted(alive)

    def output(self) -> str:
        return self._log.read_text()

    def requests(self) -> list[dict[str, Any]]:
        """The lines that the log middleware wrote."""
        lines = [json.loads(line) for line in self.output().splitlines() if line.startswith("{")]
        return [line for line in lines if "elapsed" in line]


def clean_environment() -> dict[str, str]:
    ours = {"DYNO", "FALCONKIT_RUN", "GUNICORN_CMD_ARGS", "RATE_LIMIT", "REDIS_URL", "STATSD_HOST"}
    return {name: value for name, value in os.environ.items() if name not in ours} | {
        "DRAIN_SECONDS": "0"
    }


class Serve:
    """Makes servers: ``with serve(RATE_LIMIT="2/hour") as server``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, *, command: str = COMMAND, args: tuple[str, ...] = (), **env: str) -> Server:
        return Server(self._folder, command, args, env)

    def fails(self, **env: str) -> tuple[int | None, str]:
        """Start a server that should not start; return its exit status and output."""
        server = Server(self._folder, COMMAND, (), env)
        try:
            return server.process.wait(30), server.output()
        finally:
            if server.process.poll() is None:
                server.process.kill()
                server.process.wait()
