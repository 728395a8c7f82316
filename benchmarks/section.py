"""One part of the benchmark: what it hands over, and how it is run in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[1]


@dataclass
class Table:
    """A table of the report.

    Attributes:
        title: What it shows.
        columns: Their names; the first column's cells are names, the others figures.
        rows: One text a cell.
        notes: Sentences under it.
    """

    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Found:
    """What a section found.

    Attributes:
        tables: For people.
        facts: For the table of what was to be reached, and for the chart; by name.
    """

    tables: list[Table] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)


Section = Callable[[bool], Found]
"""``(quick) -> Found``."""


def run(module: str, *, quick: bool, seconds: float) -> Found:
    """Run a section of that module's ``main`` in a child, and end all that it started.

    One that fails, or takes more than ``seconds``, is a table that says so.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        out = Path(folder, "found.json")
        said = Path(folder, "said")
        env = {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}
        env |= {"FALCONKIT_RUN": str(Path(folder, "run")), "PYTHONHASHSEED": "0"}
        with said.open("wb") as errors:
            child = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.section", module, str(out), str(int(quick))],
                cwd=ROOT,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
            try:
                child.wait(seconds)
                why = f"it ended with status {child.returncode}"
            except subprocess.TimeoutExpired:
                why = f"it took more than {seconds:g} s"
            finally:
                _end(child)
        if not out.exists():
            words = said.read_text(errors="replace").strip().splitlines()
            failed = Table(f"{module}: nothing was measured", ["why"], [[why]], words[-3:])
            return Found([failed])
        data = json.loads(out.read_text())
        return Found([Table(**each) for each in data["tables"]], data["facts"])


_NOT_PASSED_ON = frozenset(
    {
        "DYNO",
        "FALCONKIT_RUN",
        "FORWARDED_ALLOW_IPS",
        "GUNICORN_CMD_ARGS",
        "LOG_FORMAT",
        "LOG_LEVEL",
        "RATE_BURST",
        "RATE_LIMIT",
        "RATE_STORAGE",
        "REDIS_URL",
        "SERVICE_NAME",
        "TRUSTED_HOPS",
        "WEB_CONCURRENCY",
    }
)


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and whatever it has left in its session."""
    child.terminate()
    deadline = time.monotonic() + 5
    while child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _main(module: str, out: str, quick: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    section: Section = __import__(module, fromlist=["main"]).main
    found = section(quick == "1")
    whole = Path(out).with_suffix(".part")
    whole.write_text(
        json.dumps({"tables": [asdict(t) for t in found.tables], "facts": found.facts})
    )
    whole.rename(out)


if __name__ == "__main__":
    _main(*sys.argv[1:])
