"""What the tests of the server share: start it, hold requests in it, read its lines."""

from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from falconkit.testing import wait_until
from falconkit.testing.gunicorn import Gunicorn

ROOT = Path(__file__).parents[2]
APP = "tests.server.apps:app"
PLAIN = "tests.server.apps:plain"


class Held:
    """A folder whose files hold requests for as long as they are there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def hold(self, name: str) -> None:
        (self.folder / name).touch()

    def let_go(self, name: str) -> None:
        (self.folder / name).unlink(missing_ok=True)

    def waiting(self, name: str) -> list[int]:
        """Process ids of the workers that have come to wait for ``name``."""
        return [int(each.name.split(".")[1]) for each in self.folder.glob(f"{name}.*.waits")]

    def serve(self, app: str = APP, *args: str, **options: Any) -> Gunicorn:
        if app == PLAIN:
            options = {"ready": "/"} | options
        options = {"DRAIN_SECONDS": "0"} | options
        return Gunicorn(app, *args, cwd=ROOT, HELD=str(self.folder), **options)


class Call(threading.Thread):
    """A call that is on its way."""

    def __init__(self, make: Callable[[], tuple[int, Any, bytes]]) -> None:
        super().__init__(daemon=True)
        self._make = make
        self.answer: tuple[int, Any, bytes] | None = None
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self.answer = self._make()
        except Exception as ex:
            self.error = ex

    def result(self) -> tuple[int, Any, bytes]:
        self.join(60)
        assert self.error is None, self.error
        assert self.answer is not None, "no answer after 30 s"
        return self.answer


def lines(server: Gunicorn) -> list[dict[str, Any]]:
    """All that it printed: each line is JSON."""
    whole = server.output().rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]


def said(server: Gunicorn, words: str) -> list[dict[str, Any]]:
    return [line for line in lines(server) if words in line.get("message", "")]


def refused(server: Gunicorn) -> bool:
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=30).close()
    except ConnectionRefusedError:
        return True
    return False


def replaced(server: Gunicorn, old: set[int], workers: int = 1) -> bool:
    now = server.workers()
    return not old & set(now) and len(now) >= workers


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def json_of(server: Gunicorn, path: str, **headers: str) -> dict[str, Any]:
    return json.loads(server.get(path, **headers)[2])


def until(predicate: Callable[[], Any], timeout: float = 60) -> Any:
    return wait_until(predicate, timeout)
