"""A dashboard names all that an app publishes of its endpoints, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from falcon.testing import TestClient

from falconkit import Context, Endpoint, chain, layers
from falconkit.arena import Arena
from falconkit.bulkhead import bulkhead
from falconkit.circuitbreaker import guard
from falconkit.dashboards import grafana, graphite, graphite_of, published, rows
from falconkit.dashboards.panels import Row
from falconkit.dashboards.published import Published
from falconkit.dashboards.queries import Query, Share
from falconkit.dashboards.reach import layered
from falconkit.dashboards.stores import Direct, ThroughStatsD
from falconkit.dashboards.targets import Targets
from falconkit.errors import ConfigurationError
from falconkit.metrics import Metrics, measure
from falconkit.metrics.graphite import Graphite
from falconkit.metrics.paths import tagged
from falconkit.metrics.prometheus import Prometheus
from falconkit.metrics.sample import Labels
from falconkit.metrics.statsd import StatsD
from falconkit.ratelimit import limit
from falconkit.retry import retry
from falconkit.settings import Settings
from falconkit.testing.statsd import StatsDSink
from falconkit.transport import http
from tests.dashboards import shop


@pytest.fixture
def arena(tmp_path: Path) -> Arena:
    return Arena(tmp_path / "run")


def drive(app: http.App) -> None:
    """Let every kind of call happen once, and every event be told."""
    client = TestClient(app)
    for word in shop.WORDS:
        client.simulate_post("/buy", json=word, headers=shop.QUEUED)
    client.simulate_post("/v2/buy", json="book")
    client.simulate_post("/ping", json="book")
    client.simulate_get("/nowhere")


def paths_in(target: str) -> list[str]:
    """Return the paths of a target: what stands in no function and no quotes."""
    return re.findall(r"[a-z][\w.*{},-]*\.[\w.*{},-]+(?=[,)])", re.sub(r'"[^"]*"', "", target))


def alternatives(pattern: str) -> Iterator[str]:
    found = re.search(r"{([^{}]*)}", pattern)
    if found is None:
        yield pattern
        return
    for each in found[1].split(","):
        yield from alternatives(pattern[: found.start()] + each + pattern[found.end() :])


def titles(of: tuple[Row, ...]) -> set[str]:
    return {panel.title for row in of for panel in row.panels}


def asked(of: Published) -> list[Query]:
    queries = [query for row in rows(of) for panel in row.panels for query in panel.queries]
    return [
        each
        for query in queries
        for each in ((query.part, query.whole) if isinstance(query, Share) else (query,))
    ]


def test_every_path_of_statsd_has_been_sent_and_every_metric_is_drawn(arena: Arena) -> None:
    with StatsDSink() as daemon:
        app = shop.build(
            arena, Settings(trusted_hops=1, statsd_host="127.0.0.1", statsd_port=daemon.port)
        )
        drive(app)
        app.close()
    sent = {*daemon.counters(), *daemon.gauges(), *daemon.timings()}
    of = published(app, gunicorn=False)
    targets, unit = graphite_of(app, "statsd")
    drawn = graphite.dashboard("shop", rows(of), targets, unit)
    lines = [line for _, params, _ in drawn["graphs"] for line in params["target"]]
    wanted = {path for line in lines for path in paths_in(line)}
    assert len(wanted) >= 30
    for path in wanted:
        name = re.sub(r"^stats\.(timers\.|gauges\.)?", "", path)
        name = re.sub(r"\.(median|upper_90)$", "", name)
        # Nothing has gone wrong at these: such a series comes with the first that does.
        if re.search(r"count\.(buy_v2|unmatched)\.error$", name):
            continue
        if name.endswith("call.errors.price.deadline_exceeded"):
            continue
        for each in alternatives(name):
            spelt = any(fnmatchcase(one, each) for one in sent)
            assert spelt or "errors.buy_v2" in each, (path, sorted(sent))
    metrics = {query.metric.name for query in asked(of)}
    told = {"metrics.refused", "event.backend_failed", "event.breaker_changed"}
    plain = {
        name.removeprefix("shop.")
        for name in sent
        if name.count(".") == 2 and not name.startswith("shop.event.")
    }
    assert plain - told == {name for name in metrics if not name.startswith("event.")}


def test_every_metric_of_the_queries_is_exposed_with_these_labels(arena: Arena) -> None:
    app = shop.build(arena)
    drive(app)
    shown = {(each.kind, each.name): each.labels for each in app.metrics.read()}
    series = [(each.name, dict(each.labels)) for each in app.metrics.read()]
    for query in asked(published(app, gunicorn=False)):
        metric = query.metric
        assert (metric.kind, metric.name) in shown, metric
        assert tuple(label for label, _ in shown[metric.kind, metric.name]) == metric.labels
        for label, values in query.where:
            there = {labels[label] for name, labels in series if name == metric.name}
            if label in ("endpoint", "outcome") and metric.name != "request.errors":
                assert set(values) <= there
    app.close()


def test_the_panels_are_those_of_the_layers(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    app = http.app(metrics=metrics, arena=arena)

    def add(ctx: Context, v: int) -> int:
        return v

    app.post("/add", add, measure(metrics))
    plain = rows(published(app, gunicorn=False))
    assert titles(plain) == {"Rate", "Error ratio", "Errors by kind", "Latency", "In flight"}
    assert titles(rows(published(app))) - titles(plain) == {
        "Saturation of workers",
        "Workers and threads",
    }


@pytest.mark.parametrize(
    ("layer", "title"),
    [
        (limit("1/second"), "Refused by the limiter"),
        (bulkhead(3), "Refused as too many at once"),
        (guard(), "Breaker states"),
        (retry(), "Retries"),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_layer_has_its_panel(arena: Arena, layer: object, title: str) -> None:
    app = http.app(arena=arena)

    def get(ctx: Context, v: int) -> int:
        return v

    app.post("/get", get, chain(measure(app.metrics), layer))  # type: ignore[arg-type]
    assert title in titles(rows(published(app)))


def test_what_is_refused_outside_of_measure_is_not_counted_and_not_drawn(arena: Arena) -> None:
    app = http.app(arena=arena)

    def get(ctx: Context, v: int) -> int:
        return v

    app.post("/get", get, chain(limit("1/second"), measure(app.metrics)))
    assert "Refused by the limiter" not in titles(rows(published(app)))


def test_an_endpoint_that_is_not_measured_is_not_drawn(arena: Arena) -> None:
    app = shop.build(arena)
    names = {each.name for each in published(app).measured["request"]}
    assert names == {"buy", "buy.v2", "unmatched"}
    assert [each.name for each in published(app).measured["call"]] == ["price"]


def test_an_app_without_measure_is_told_so(arena: Arena) -> None:
    with pytest.raises(ConfigurationError, match="no endpoint of the app is measured"):
        published(http.app(arena=arena))


def test_a_rule_of_ones_own_names_the_paths(arena: Arena) -> None:
    def by_outcome(name: str, labels: Labels) -> list[str]:
        return [name, *(f"{name}.{value}" for label, value in labels if label == "outcome")]

    app = shop.build(arena)
    targets = Targets(StatsD(None, name_of=by_outcome), ThroughStatsD("shop"))
    found = [line for query in queries(app) for line in targets.of(query)]
    assert 'alias(stats.shop.request.count, "request.count")' in found
    assert (
        "alias(divideSeries(stats.shop.request.count.error, stats.shop.request.count), "
        '"request.count")'
    ) in found
    # By kind cannot be asked for, and is not.
    assert not any("kind" in line or "rate_limited" in line for line in found)


def queries(app: http.App) -> list[Query]:
    return [
        query for row in rows(published(app)) for panel in row.panels for query in panel.queries
    ]


def test_tags_are_refused(arena: Arena) -> None:
    targets = Targets(Graphite(None, name_of=tagged), Direct("shop"))
    with pytest.raises(ConfigurationError, match="have tags"):
        list(targets.of(queries(shop.build(arena))[0]))


def test_several_hosts_are_added_up_and_the_slowest_is_shown(arena: Arena) -> None:
    app = shop.build(arena)
    targets, unit = graphite_of(app, "graphite", prefix="shop.*")
    found = [line for query in queries(app) for line in targets.of(query)]
    assert unit == "s"
    assert 'alias(sumSeries(shop.*.request.in_flight.buy), "buy")' in found
    assert 'alias(maxSeries(shop.*.request.seconds.buy.p99), "buy p99")' in found
    assert 'groupByNode(perSecond(shop.*.request.errors.{buy,buy_v2,unmatched}.*), 5, "sum")' in (
        found
    )


def test_a_host_that_names_its_own_paths_stands_for_every_host(arena: Arena) -> None:
    app = http.app(arena=arena)
    app.metrics.add_backend(Graphite(None))
    targets, _ = graphite_of(app, "graphite")
    app.post("/ping", lambda ctx, v: v, measure(app.metrics), decode=lambda ctx, r: 1, name="ping")
    assert next(iter(targets.of(queries(app)[0]))) == (
        'alias(sumSeries(perSecond(*.request.count.ping.*)), "ping")'
    )


def test_percentiles_are_those_that_the_daemon_works_out(arena: Arena) -> None:
    app = shop.build(arena)
    targets, unit = graphite_of(app, "statsd", namespace="", percentiles=(95, 99))
    latency = [
        line for query in queries(app) for line in targets.of(query) if "seconds.buy." in line
    ]
    assert unit == "ms"
    assert latency == [
        'alias(timers.shop.request.seconds.buy.median, "buy p50")',
        'alias(timers.shop.request.seconds.buy.upper_95, "buy p95")',
        'alias(timers.shop.request.seconds.buy.upper_99, "buy p99")',
    ]
    with pytest.raises(ConfigurationError, match="percentiles"):
        graphite_of(app, "statsd", percentiles=(0,))


def test_clients_are_found_wherever_an_endpoint_keeps_them() -> None:
    ask = retry()(lambda ctx, v: v)

    class Shop:
        __slots__ = ("by_name", "unset")

        def __init__(self) -> None:
            self.by_name = {"ask": [ask]}

        def buy(self, ctx: Context, v: int) -> object:
            return self.by_name["ask"][0](ctx, v)

        @property
        def never(self) -> object:
            raise AssertionError("nothing is run")

    def loops(ctx: Context, v: int, *, client: Endpoint[int, object] = ask) -> object:
        return loops if v else client(ctx, v)

    for endpoint in (Shop().buy, loops, lambda ctx, v, asked=(ask,): asked):
        assert [[each.name for each in layers(one)] for one in layered([endpoint])] == [["retry"]]


def test_one_layout(arena: Arena) -> None:
    app = shop.build(arena)
    made = grafana.of_prometheus("shop", rows(published(app)), Prometheus(app.metrics))
    assert len({panel["id"] for panel in made["panels"]}) == len(made["panels"])
    taken = set()
    for panel in made["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert max(x for x, _ in cells) < 24
        taken |= cells
