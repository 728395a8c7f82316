"""A real pipe: gunicorn -> the StatsD daemon -> carbon -> graphite-web, asked by a dashboard."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from falconkit.__main__ import main
from falconkit.testing import wait_until
from falconkit.testing.gunicorn import Gunicorn
from tests.dashboards import shop
from tests.dashboards.graphite_web import GraphiteWeb, graphite_web
from tests.metrics.servers import carbon_cache
from tests.services import statsd_daemon

ROOT = Path(__file__).parents[2]
APP = "tests.dashboards.shop:serve()"
# So long that a daemon which is held up still has no two flushes in one second of carbon's.
FLUSH = 4


@dataclass
class Pipe:
    graphite: GraphiteWeb
    namespace: str

    def dashboard(self, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, Any]:
        argv = ["dashboards", "graphite", APP, "--source", "statsd", "--title", "shop"]
        assert main([*argv, "--namespace", self.namespace, *options]) == 0
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        return found

    def values(self, target: str) -> dict[str, list[float]]:
        """Return what is known of each line of a target."""
        return {
            each["target"]: [value for value, _ in each["datapoints"] if value is not None]
            for each in self.graphite.render(target)
        }


@pytest.fixture(scope="module", params=["legacy", "stats"])
def pipe(request: pytest.FixtureRequest) -> Iterator[Pipe]:
    """Start all four, and send what `shop.WORDS` has through them."""
    with carbon_cache() as carbon, graphite_web(carbon) as graphite:
        settings = {"legacyNamespace": request.param == "legacy"}
        with (
            statsd_daemon(
                backends=["./backends/graphite"],
                graphiteHost="127.0.0.1",
                graphitePort=carbon.ports["plaintext"],
                graphite=settings,
                flushInterval=1000 * FLUSH,
            ) as daemon,
            Gunicorn(
                APP,
                workers=2,
                cwd=ROOT,
                STATSD_HOST="127.0.0.1",
                STATSD_PORT=str(daemon.port),
                DRAIN_SECONDS="0",
                ready="/health/live",
            ) as server,
        ):
            for word in shop.WORDS:
                post(server, "/buy", word)
            post(server, "/v2/buy", "book")
            post(server, "/nowhere", "book")
            yield Pipe(graphite, request.param)


def post(server: Gunicorn, path: str, word: str) -> None:
    headers = {"Content-Type": "application/json", **shop.QUEUED}
    with closing(HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.request("POST", path, json.dumps(word), headers)
        connection.getresponse().read()


def graph(made: dict[str, Any], title: str) -> list[str]:
    (found,) = [params["target"] for _, params, _ in made["graphs"] if params["title"] == title]
    return list(found)


def test_the_api_answers_with_the_numbers_that_were_sent(
    pipe: Pipe, capsys: pytest.CaptureFixture[str]
) -> None:
    made = pipe.dashboard(capsys)

    def counted(title: str) -> dict[str, int]:
        lines = [pipe.values(target) for target in graph(made, title)]
        return {name: round(FLUSH * sum(values)) for each in lines for name, values in each.items()}

    calls = {"buy": len(shop.WORDS), "buy.v2": 1, "unmatched": 1}
    wait_until(lambda: counted("Requests: Rate") == calls, 120, what="every call")
    # The price that cannot be had, and boom; what is late is an error of its own.
    errors = {"rate_limited": 1, "overloaded": 1, "circuit_open": 1, "deadline_exceeded": 1}
    kinds = counted("Requests: Errors by kind")
    assert kinds["runtime_error"] == 1
    assert errors.items() <= kinds.items()
    assert counted("Requests: Refused by the limiter") == {"buy": 1}
    assert counted("Requests: Refused as too many at once") == {"buy": 1}
    assert counted("Calls that we make (call): Rate") == {"price": 1}


def test_every_graph_is_rendered(pipe: Pipe, capsys: pytest.CaptureFixture[str]) -> None:
    made = pipe.dashboard(capsys)
    # What has nothing to show, since nothing of it has happened.
    nothing = {"buy.v2": "Error ratio", "unmatched": "Error ratio", "price": "Out of time"}

    def empty() -> list[str]:
        return [
            f"{params['title']} {target}"
            for _, params, _ in made["graphs"]
            for target in params["target"]
            if not any(pipe.values(target).values())
            and not any(
                f'"{name}"' in target and title in params["title"]
                for name, title in nothing.items()
            )
        ]

    wait_until(lambda: not empty(), 120, what="all graphs")

    def threads() -> list[float]:
        lines = graph(made, "Saturation: Workers and threads")
        return [next(iter(pipe.values(each).values()))[-1] for each in lines]

    wait_until(lambda: threads() == [2, 8], 120, what="both workers")
    (states,) = graph(made, "Resilience: Breaker states")
    assert all(name.startswith("prices") for name in pipe.values(states))


def test_graphite_keeps_the_dashboard(pipe: Pipe, capsys: pytest.CaptureFixture[str]) -> None:
    made = pipe.dashboard(capsys)
    pipe.graphite.save("shop", json.dumps(made))
    assert pipe.graphite.load("shop") == made
