from __future__ import annotations

import json
from pathlib import Path

import pytest
from grafana_foundation_sdk.models.dashboard import Dashboard

from falconkit.__main__ import main

# A command loads an app into this process, which may set logging up.
pytestmark = pytest.mark.usefixtures("logging_undone")

APP = "tests.dashboards.shop:serve()"


@pytest.mark.parametrize("source", ["prometheus", "statsd", "graphite"])
def test_grafana_reads_each_dashboard(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", "grafana", APP, "--source", source, "--title", "The shop"]) == 0
    made = json.loads(capsys.readouterr().out)
    read = Dashboard.from_json(made)
    assert (read.uid, read.title, read.schema_version) == (made["uid"], "The shop", 39)
    assert len(read.uid) <= 40
    panels = [panel for panel in made["panels"] if panel["type"] != "row"]
    assert [each.title for each in read.panels if each.type_val != "row"] == [
        each["title"] for each in panels
    ]
    # Seconds are StatsD's milliseconds, and nobody else's.
    units = {panel["title"]: panel["fieldConfig"]["defaults"]["unit"] for panel in panels}
    assert units["Latency"] == ("ms" if source == "statsd" else "s")
    assert units["Error ratio"] == "percentunit"
    for panel in panels:
        letters = [target["refId"] for target in panel["targets"]]
        assert letters
        assert len({*letters}) == len(letters)
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}


def test_the_source_is_the_app_s_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", "grafana", APP]) == 0
    assert json.loads(capsys.readouterr().out)["uid"] == "falconkit-prometheus-tests"
    assert main(["dashboards", "graphite", APP]) == 0
    assert "stats.shop.request.count.buy" in capsys.readouterr().out
    assert main(["dashboards", "graphite", APP, "--source", "graphite", "--prefix", "shop.*"]) == 0
    assert "shop.*.request.count.buy" in capsys.readouterr().out


def test_an_app_without_gunicorn_s_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", "grafana", APP, "--no-gunicorn"]) == 0
    assert "gunicorn" not in capsys.readouterr().out


def test_rules_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", APP, "--job", "shop", "--latency", "0.25", "--bad", "error,refused"]) == 0
    said = capsys.readouterr().out
    assert 'job=\\"shop\\",endpoint=~\\"buy|buy\\\\\\\\.v2\\"' in said
    assert "alert: LatencyBudgetBurn" in said
    assert "unmatched" not in said


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import nothing_of_the_kind", "No module named 'nothing_of_the_kind'"),
        ("1 / 0", "division by zero"),
        ("app = 3", "must be callable"),
        ("def app(env, start): pass", "there is no falconkit app"),
        ("other = 1", "app"),
        ("from falconkit.transport import http\napp = http.app()", "no endpoint of the app"),
    ],
    ids=["missing", "raises", "number", "stranger", "nameless", "bare"],
)
def test_what_is_no_app_is_told_plainly(
    source: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    request: pytest.FixtureRequest,
) -> None:
    module = f"told_{request.node.callspec.id}"
    (tmp_path / f"{module}.py").write_text(f"print('noise')\n{source}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["rules", f"{module}:app"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err


def test_options_that_do_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", "grafana", APP, "--prefix", "x"]) == 1
    assert "--prefix='x'" in capsys.readouterr().err
    assert main(["rules", "example_counter.app:app"]) == 1
    assert "does not publish by prometheus" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["dashboards", "graphite", APP, "--percentiles", "many"])
    assert "many" in capsys.readouterr().err
