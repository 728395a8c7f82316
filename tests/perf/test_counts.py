"""The hot path does no more than it did when it was last looked at.

Nothing here asks a clock. A bound is raised on purpose: run ``python -m tests.perf.counting``,
find out why there is more (``make bench ARGS=in-process`` says what it costs), and write the
new figure below with the change that needs it. Who makes something faster lowers its bound.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLDER = sys.version_info[:2] == (3, 11)

# Calls of functions in Python and C, and instructions of CPython 3.11, which other versions
# have others of. They leave some room: a fraction of a second that begins with a zero, say,
# is written in a few steps more. `int(x)`, the call of a type, is none of these calls, and
# `floor(x)` is one, though it is quicker by far.
BOUNDS = {
    "a request": (91, 1410),
    "log": (23, 370),
    "measure": (12, 234),
    "limit": (14, 295),
    "log, measure and limit": (39, 730),
    "a context and its endpoint": (5, 80),
    "a decision": (6, 173),
    "a line's text": (4, 63),
    "an increment by labels": (3, 56),
}
LOOSE = 1.1


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    unset = ("COVERAGE_", "PYTHON", "RATE_", "LOG_", "STATSD_", "DYNO", "TRUSTED_HOPS")
    env = {name: value for name, value in os.environ.items() if not name.startswith(unset)}
    env["FALCONKIT_RUN"] = str(tmp_path_factory.mktemp("arena") / "run")
    done = subprocess.run(
        [sys.executable, "-m", "tests.perf.counting"],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counted: dict[str, dict[str, int]] = json.loads(done.stdout)
    return counted


@pytest.mark.parametrize("what", BOUNDS)
def test_the_hot_path_does_no_more_than_it_did(
    what: str, counts: dict[str, dict[str, int]]
) -> None:
    calls, steps = BOUNDS[what]
    found = counts[what]
    assert found["calls"] <= calls, f"{what}: raise BOUNDS if that is worth it"
    if OLDER:
        assert found["steps"] <= steps, f"{what}: raise BOUNDS if that is worth it"


@pytest.mark.skipif(not OLDER, reason="the figures are CPython 3.11's")
@pytest.mark.parametrize("what", BOUNDS)
def test_the_bounds_are_tight(what: str, counts: dict[str, dict[str, int]]) -> None:
    _, steps = BOUNDS[what]
    assert steps <= counts[what]["steps"] * LOOSE, f"{what} became cheaper: lower BOUNDS"


def test_more_work_is_more_counts(counts: dict[str, dict[str, int]]) -> None:
    once, twice = counts["one call"], counts["a call more"]
    assert twice["calls"] == once["calls"] + 1
    assert twice["steps"] > once["steps"] > 0
