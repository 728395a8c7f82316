"""A real Prometheus: every expression of the Grafana dashboard is asked of it."""

from __future__ import annotations

import json
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from falconkit.__main__ import main
from falconkit.testing import wait_until
from falconkit.testing.gunicorn import Gunicorn
from tests.dashboards import shop
from tests.metrics.servers import PrometheusServer, prometheus_server

ROOT = Path(__file__).parents[2]
APP = "tests.dashboards.shop:serve()"

# Nothing of these has happened.
NOTHING = ("Calls that we make (call): Out of time",)


def expressions(made: dict[str, Any]) -> list[tuple[str, str]]:
    """Return each expression as Grafana asks it, with the title of its panel."""
    found, row = [], ""
    for panel in made["panels"]:
        row = panel["title"] if panel["type"] == "row" else row
        for target in panel.get("targets", ()):
            asked = target["expr"].replace("$__rate_interval", "10m")
            asked = asked.replace("$job", ".*").replace("$instance", ".*")
            found.append((f"{row}: {panel['title']}", asked))
    return found


def buy(server: Gunicorn) -> None:
    for path, word in [*(("/buy", each) for each in shop.WORDS), ("/v2/buy", ""), ("/no", "")]:
        headers = {"Content-Type": "application/json", **shop.QUEUED}
        with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
            connection.request("POST", path, json.dumps(word), headers)
            connection.getresponse().read()


def test_every_panel_has_an_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dashboards", "grafana", APP, "--source", "prometheus"]) == 0
    made = json.loads(capsys.readouterr().out)
    with (
        Gunicorn(APP, workers=2, cwd=ROOT, DRAIN_SECONDS="0", ready="/health/live") as server,
        prometheus_server(shop=server.port) as prometheus,
    ):

        def silent() -> list[str]:
            # A rate is of two scrapes with calls between them.
            buy(server)
            return [
                f"{title} {asked}"
                for title, asked in expressions(made)
                if title not in NOTHING and not prometheus.query(asked)
            ]

        wait_until(lambda: not silent(), 120, what="an answer for every panel")
        asked = dict(expressions(made))
        for title in NOTHING:
            assert prometheus.query(asked[title]) == []
        rates = {labels["endpoint"] for labels, _ in prometheus.query(asked["Requests: Rate"])}
        assert rates == {"buy", "buy.v2", "unmatched"}
        used = prometheus.value(asked["Saturation: Saturation of workers"])
        assert used is not None
        assert 0 <= used <= 1
        assert variables(prometheus, made) == {"job": {"shop"}, "instance": {instance(server)}}


def instance(server: Gunicorn) -> str:
    return f"127.0.0.1:{server.port}"


def variables(prometheus: PrometheusServer, made: dict[str, Any]) -> dict[str, set[str]]:
    """Return what the dashboard's variables offer."""
    found = {}
    for each in made["templating"]["list"]:
        if each["type"] == "query":
            series = each["query"]["query"].removeprefix("label_values(").rpartition(",")[0]
            answer = prometheus.query(series.replace("$job", ".*"))
            found[each["name"]] = {labels[each["name"]] for labels, _ in answer}
    return found
