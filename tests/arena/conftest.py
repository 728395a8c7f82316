"""What the arena's tests share: folders in memory, and real children."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from falconkit.arena import Arena
from falconkit.arena.mutex import mutex_kind
from falconkit.testing import ManualClock, wait_until


class Child:
    """A forked process, and the lines of JSON that it says."""

    def __init__(self, work: Callable[[Callable[[Any], None]], Any]) -> None:
        reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(reading)
            status = 1
            try:
                work(lambda said: os.write(writing, json.dumps(said).encode() + b"\n") and None)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(writing)
        self._out = reading
        self._said = b""
        self.ended = False

    def hear(self) -> Any:
        while b"\n" not in self._said:
            assert select.select([self._out], [], [], 60)[0], f"child {self.pid} says nothing"
            more = os.read(self._out, 65536)
            assert more, f"child {self.pid} ended without a word"
            self._said += more
        line, _, self._said = self._said.partition(b"\n")
        return json.loads(line)

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def stop(self) -> None:
        self.signal(signal.SIGSTOP)
        os.waitpid(self.pid, os.WUNTRACED)

    def kill(self) -> None:
        if not self.ended:
            self.signal(signal.SIGKILL)
            self.wait()

    def wait(self) -> int:
        _, status = os.waitpid(self.pid, 0)
        self.ended = True
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            self.kill()
        os.close(self._out)


@pytest.fixture
def child() -> Iterator[Callable[..., Child]]:
    children: list[Child] = []

    def start(work: Callable[[Callable[[Any], None]], Any]) -> Child:
        children.append(Child(work))
        return children[-1]

    yield start
    for each in children:
        each.close()


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A run directory that is not there yet."""
    monkeypatch.delenv("FALCONKIT_RUN", raising=False)
    place = tempfile.mkdtemp(prefix="arena-test-", dir="/dev/shm")
    yield Path(place) / "run"
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def arena(folder: Path, clock: ManualClock) -> Iterator[Arena]:
    arena = Arena(folder, clock=clock)
    yield arena
    arena.close()


@pytest.fixture
def gone() -> Callable[[int], None]:
    """Wait until a process that is not our child has ended."""

    def wait(pid: int) -> None:
        def ended() -> bool:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return True
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"

        wait_until(ended, what=f"the end of process {pid}")

    return wait


@pytest.fixture
def switch_often() -> Iterator[None]:
    """Let threads take turns after every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.fixture(params=["mutex", "flock"])
def kind_of_lock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run the test with robust mutexes, and as where there are none."""
    if request.param == "flock":
        monkeypatch.setattr("falconkit.arena.mutex._library", lambda: None)
    elif not mutex_kind():
        pytest.skip("robust mutexes do not work here")
    return str(request.param)
