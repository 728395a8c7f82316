"""The README's commands, run as a newcomer runs them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path

from tests.load import get, poll
from tests.services import free_port, require
from tests.system.serving import ROOT, clean_environment

README = (ROOT / "README.md").read_text()
CONSOLE = re.findall(r"^```console\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def steps(block: str) -> list[tuple[str, str]]:
    """Cut a console block into commands and what they print."""
    parts = re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
    return [(command, shown) for command, _, shown in (part.partition("\n") for part in parts)]


def test_make_run_and_the_articles_session(tmp_path: Path) -> None:
    require("curl")
    commands, session = map(steps, CONSOLE)
    assert [command for command, _ in commands] == ["make run", "make test"]
    port, log = free_port(), tmp_path / "make.log"
    environ = clean_environment() | {"PORT": str(port), "COUNTER_DB": str(tmp_path / "c.db")}
    with log.open("wb") as out:
        make = subprocess.Popen(
            ["make", "run"],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        poll(lambda: make.poll() is not None or "Try:" in log.read_text(), 300)
        assert make.poll() is None, log.read_text()
        said = re.search(r"Try: +(curl .*)", log.read_text())
        assert said
        assert said[1] == f"""curl -d '{{"v":1}}' http://127.0.0.1:{port}/add"""
        assert get(port, "/health/ready")[0] == 200
        # In one shell: nothing is to come between the calls that are two quick ones.
        script = "; echo ----; ".join(command for command, _ in session)
        done = subprocess.run(
            ["bash", "-c", script.replace(":8000", f":{port}").replace("curl ", "curl -s ")],
            capture_output=True,
            text=True,
            check=True,
        )
        printed = [each.strip() for each in re.split(r"\s*----\n", done.stdout)]
        assert printed == [shown.strip() for _, shown in session]
    finally:
        os.killpg(make.pid, signal.SIGTERM)
        make.wait(40)


def test_every_make_target_the_readme_names_is_there() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make (\w+)`", README)) <= targets
