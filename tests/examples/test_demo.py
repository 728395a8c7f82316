"""``make demo``, as a newcomer runs it, and as an impatient one stops it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from falconkit.testing import wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture
def mark():
    """Marks all that is started; and ends what a broken demo has left."""
    mark = f"DEMO_TEST={uuid.uuid4()}"
    yield mark
    for pid in left(mark):
        os.kill(pid, signal.SIGKILL)


def left(mark: str) -> list[int]:
    """The processes that carry the mark in their environment."""
    found = []
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            try:
                environ = (each / "environ").read_bytes()
            except OSError:
                continue
            if mark.encode() in environ:
                found.append(int(each.name))
    return found


def environ(mark: str) -> dict[str, str]:
    name, _, value = mark.partition("=")
    return {each: os.environ[each] for each in ("PATH", "HOME", "TMPDIR") if each in os.environ} | {
        name: value
    }


def test_a_killed_instance_is_seen_by_no_caller(mark):
    done = subprocess.run(
        ["make", "--silent", "demo", "ARGS=--seconds 3"],
        cwd=ROOT,
        env=environ(mark),
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    calls = re.search(r"^(\d+) calls, 0 errors$", done.stdout, re.MULTILINE)
    assert calls, done.stdout
    assert int(calls[1]) > 100
    *_, last = re.findall(r"^ +\d+ .*$", done.stdout, re.MULTILINE)
    told = dict(re.findall(r"([a-d]) +(\w+)", last))
    assert told.pop("b") == "dead"
    assert sorted(told) == ["a", "c", "d"]
    assert left(mark) == []


@pytest.mark.parametrize("moment", ["starting", "second"])
def test_ctrl_c_ends_all_that_was_started(mark, moment, tmp_path):
    log = tmp_path / "demo.log"
    with log.open("wb") as out:
        demo = subprocess.Popen(
            [sys.executable, "-m", "examples.demo", "--seconds", "600"],
            cwd=ROOT,
            env=environ(mark),
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: moment in log.read_text(), 60)
        demo.send_signal(signal.SIGINT)
        assert demo.wait(60) == 130
    finally:
        demo.kill()
        demo.wait()
    assert log.read_text().rstrip().endswith("stopped; all services have ended")
    assert "Traceback" not in log.read_text()
    assert left(mark) == []
