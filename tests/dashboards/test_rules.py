"""Rules that promtool accepts, and alerts that fire when a budget burns, and only then."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from falconkit import Context
from falconkit.arena import Arena
from falconkit.dashboards import Objective, prometheus_of, published, rules, yaml
from falconkit.dashboards.slo import BURNS, WINDOWS
from falconkit.errors import ConfigurationError
from falconkit.metrics import Metrics, measure
from falconkit.metrics.prometheus import Prometheus
from falconkit.transport import http
from tests.services import require


@pytest.fixture
def app(tmp_path: Path) -> http.App:
    metrics = Metrics(arena=Arena(tmp_path / "run"))
    made = http.app(metrics=metrics, prometheus=Prometheus(metrics, prefix="shop"))

    def add(ctx: Context, v: int) -> int:
        return v

    made.post("/add", add, measure(metrics))
    return made


def written(app: http.App, objective: Objective) -> str:
    return yaml.text(rules(published(app), prometheus_of(app), objective))


def promtool(folder: Path, *args: str) -> str:
    done = subprocess.run(
        [require("promtool"), *args], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def calls(outcome: str, values: str) -> dict[str, str]:
    labels = f'job="shop",instance="a",endpoint="add",outcome="{outcome}"'
    return {"series": f"shop_request_count_total{{{labels}}}", "values": values}


def firing(at: str, *severities: str, alert: str = "ErrorBudgetBurn") -> list[dict[str, Any]]:
    """Say which alerts fire at a time, whatever their words are."""
    return [
        {
            "expr": f'count by (severity) (ALERTS{{alertname="{alert}",alertstate="firing"}})',
            "eval_time": at,
            "exp_samples": [
                {"labels": f'{{severity="{each}"}}', "value": 1} for each in severities
            ],
        }
    ]


def check(folder: Path, text: str, series: list[dict[str, str]], expected: list[Any]) -> None:
    (folder / "rules.yml").write_text(text)
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": expected}],
    }
    # JSON is YAML.
    (folder / "test.yml").write_text(json.dumps(test))
    assert "SUCCESS" in promtool(folder, "test", "rules", "test.yml")


def test_promtool_takes_them(app: http.App, tmp_path: Path) -> None:
    for objective in (Objective(), Objective(latency=0.25, job="shop", bad=("error", "refused"))):
        (tmp_path / "rules.yml").write_text(written(app, objective))
        said = promtool(tmp_path, "check", "rules", "rules.yml")
        groups = 2 if objective.latency else 1
        assert f"SUCCESS: {groups * (len(WINDOWS) + 2)} rules found" in said


def test_a_fast_burn_pages_and_ends_soon_after_its_cause(app: http.App, tmp_path: Path) -> None:
    # Well for ten hours, a tenth fails for 30 minutes, well again.
    good = calls("ok", "0+100x600 60090+90x29 62800+100x120")
    bad = calls("error", "0+0x600 10+10x29 300+0x120")
    # 2 % of the budget are gone after 9 of these minutes, before which nobody is woken.
    expected = [*firing("600m"), *firing("606m"), *firing("612m", "page", "ticket")]
    expected += firing("630m", "page", "ticket")
    # Both short windows are over, while hour and day are still full of errors.
    expected += firing("664m", "ticket")
    check(tmp_path, written(app, Objective()), [good, bad], expected)


def test_a_slow_burn_makes_a_ticket_and_wakes_nobody(app: http.App, tmp_path: Path) -> None:
    # 0.4 % fail for ever: four times too fast, less than the six that page.
    good, bad = calls("ok", "0+996x400"), calls("error", "0+4x400")
    check(tmp_path, written(app, Objective()), [good, bad], firing("390m", "ticket"))


def test_a_blip_is_no_alert(app: http.App, tmp_path: Path) -> None:
    # Two thirds of a day of calls, then half of them fail for one minute.
    good = calls("ok", "0+100x1000 100050+100x60")
    bad = calls("error", "0+0x1000 50+0x60")
    expected = [each for at in ("1001m", "1004m", "1020m", "1060m") for each in firing(at)]
    check(tmp_path, written(app, Objective()), [good, bad], expected)


def test_no_errors_at_all_and_no_calls_at_all_are_no_alert(app: http.App, tmp_path: Path) -> None:
    ratio = 'job_endpoint:shop_request_count_bad:ratio_rate5m{job="shop"}'
    expected = [
        {
            "expr": ratio,
            "eval_time": "30m",
            "exp_samples": [{"labels": ratio[:-1] + ',endpoint="add"}', "value": 0}],
        },
        {"expr": ratio, "eval_time": "120m", "exp_samples": []},
        *firing("120m"),
    ]
    check(tmp_path, written(app, Objective()), [calls("ok", "0+100x60 6000+0x60")], expected)


def test_slow_calls_burn_a_budget_of_their_own(app: http.App, tmp_path: Path) -> None:
    labels = 'job="shop",instance="a",endpoint="add"'
    name = "shop_request_seconds"
    series = [
        {"series": f"{name}_count{{{labels}}}", "values": "0+100x120"},
        {"series": f'{name}_bucket{{{labels},le="0.25"}}', "values": "0+70x120"},
    ]
    text = written(app, Objective(latency=0.25))
    # 30 % are slow, of which 1 % may be.
    expected = [*firing("90m", "page", "ticket", alert="LatencyBudgetBurn"), *firing("90m")]
    check(tmp_path, text, series, expected)


def test_the_numbers_are_the_workbook_s() -> None:
    told = [(each.severity, each.long, each.short, each.rate) for each in BURNS]
    assert told == [
        ("page", "1h", "5m", 14.4),
        ("page", "6h", "30m", 6.0),
        ("ticket", "1d", "2h", 3.0),
        ("ticket", "3d", "6h", 1.0),
    ]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"percent": 100.0}, "leaves nothing to fail"),
        ({"percent": 90.0}, "over 93.06"),
        ({"latency": 0.3}, "0.25, 0.5"),
        ({"latency": 0.25, "latency_percent": 50.0}, "over 93.06"),
        ({"bad": ("ok",)}, "bad outcomes"),
        ({"bad": ()}, "bad outcomes"),
    ],
    ids=str,
)
def test_what_could_never_be_watched_is_refused(
    app: http.App, given: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        written(app, Objective(**given))
