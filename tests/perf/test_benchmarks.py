"""What is measured answers, and what the report is made of holds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import chart, reach
from benchmarks.measure import Spread, in_turn, ratio
from benchmarks.section import run
from falconkit.testing.gunicorn import Gunicorn
from tests.load import call, request

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("app", ["full", "bare", "bare_msgspec"])
def test_the_apps_under_test_answer(app: str, tmp_path: Path) -> None:
    code = (
        "import os, sys\n"
        "from benchmarks import apps\n"
        "from benchmarks.in_process import calling\n"
        "once = calling(getattr(apps, sys.argv[1]))\n"
        "[once() for _ in range(20)]\n"
    )
    env = os.environ | {"FALCONKIT_RUN": str(tmp_path / "run"), "LOG_FORMAT": "json"}
    done = subprocess.run(
        [sys.executable, "-c", code, app], cwd=ROOT, env=env, capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(lines) == (21 if app == "full" else 0)
    if app == "full":
        assert [(line["request"], line["result"]) for line in lines][-1] == (1, 21)


def test_full_is_served_with_everything_as_deployed() -> None:
    with Gunicorn("benchmarks.apps:full", cwd=ROOT, DEBUG_VARS="open") as server:
        for total in (1, 2, 3):
            status, head, body = call(server.port, request())
            assert (status, body) == (200, b'{"v":%d}' % total)
            assert b"ratelimit: " in head.lower()
        _, _, page = server.get("/debug/vars")
        assert json.loads(page)["request.count"] == 3


def test_a_worker_keeps_what_it_has_loaded_out_of_the_collector_s_sight() -> None:
    with Gunicorn("tests.perf.frozen:app", cwd=ROOT, ready="/") as server:
        assert int(server.get("/")[2]) > 10_000


def test_bare_is_falcon_alone() -> None:
    with Gunicorn("benchmarks.apps:bare", cwd=ROOT, ready=None) as server:
        assert call(server.port, request())[::2] == (200, b'{"v": 1}')


def test_a_section_that_fails_is_a_table_that_says_so() -> None:
    found = run("benchmarks.no_such_section", quick=True, seconds=30)
    assert "nothing was measured" in found.tables[0].title
    assert found.facts == {}


def test_a_section_that_does_not_end_is_ended() -> None:
    found = run("tests.perf.endless", quick=True, seconds=3)
    assert "more than 3 s" in found.tables[0].rows[0][0]


def test_peers_are_asked_in_turn() -> None:
    asked: list[str] = []

    def peer(name: str, value: float) -> object:
        return lambda: asked.append(name) or value

    seen = in_turn({"a": peer("a", 1.0), "b": peer("b", 2.0)}, 3)  # type: ignore[dict-item]
    assert asked == ["a", "b"] * 3
    assert ratio(seen["a"], seen["b"]) == Spread(0.5, 0.5, 0.5)


def test_every_goal_is_in_the_report_whatever_was_measured() -> None:
    nothing = reach.table({})
    assert len(nothing.rows) == len(reach.GOALS)
    facts = {goal.fact: 0.3 for goal in reach.GOALS}
    rows = {row[0]: row for row in reach.table(facts).rows}
    assert rows["what the middlewares add a request, µs"][3] == "yes"
    failed = rows["full stack under gunicorn / bare Falcon with media"]
    assert failed[3] == "**no**"
    assert failed[4]


def test_the_chart_is_svg() -> None:
    facts = {}
    for name, value in (("bare Falcon", 1.0), ("full stack", 1.2), ("Flask & <more>", 0.4)):
        facts |= {f"rate of {name}": value * 5000, f"{name} / bare Falcon": value}
        facts |= {f"{name} / bare Falcon, low": value, f"{name} / bare Falcon, high": value}
    drawn = ET.fromstring(chart.draw(facts))
    texts = ["".join(each.itertext()) for each in drawn.iter() if each.tag.endswith("text")]
    assert {"full stack", "1.20", "Flask & <more>", "0.40"} <= set(texts)
    ET.fromstring(chart.draw({}))
