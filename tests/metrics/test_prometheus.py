from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics import parser as open_metrics_parser
from prometheus_client.parser import text_string_to_metric_families

from falconkit import Context
from falconkit.arena import Arena
from falconkit.errors import ConfigurationError
from falconkit.metrics import Metrics, measure
from falconkit.metrics.distribution import Distribution
from falconkit.metrics.exposition import label_text, number
from falconkit.metrics.prometheus import SECONDS, SIZES, Prometheus, _cumulative
from falconkit.testing import ManualClock
from tests.metrics.servers import promtool
from tests.transport.serving import call, environ, make


@pytest.fixture
def metrics(arena: Arena) -> Metrics:
    return Metrics(arena=arena)


def test_the_text_format(metrics: Metrics) -> None:
    shown = Prometheus(
        metrics,
        prefix="shop",
        labels={"host": "a"},
        buckets=(0.1, 1),
        help={"mail.queue": "Letters\nin \\ line."},
    )
    count = metrics.counter("mail.sent", ("kind",))
    count.labels('say "hi"\\').add(2)
    count.labels("é").add()
    metrics.gauge("mail.queue").set(-2.5)
    seconds = metrics.histogram("mail.seconds")
    for value in (0.0, 0.1, 0.5, 7.0):
        seconds.observe(value)
    assert shown.text() == (
        "# HELP shop_mail_sent_total The counter mail.sent.\n"
        "# TYPE shop_mail_sent_total counter\n"
        'shop_mail_sent_total{host="a",kind="say \\"hi\\"\\\\"} 2.0\n'
        'shop_mail_sent_total{host="a",kind="é"} 1.0\n'
        "# HELP shop_mail_queue Letters\\nin \\\\ line.\n"
        "# TYPE shop_mail_queue gauge\n"
        'shop_mail_queue{host="a"} -2.5\n'
        "# HELP shop_mail_seconds The histogram mail.seconds.\n"
        "# TYPE shop_mail_seconds histogram\n"
        'shop_mail_seconds_bucket{host="a",le="0.1"} 2\n'
        'shop_mail_seconds_bucket{host="a",le="1.0"} 3\n'
        'shop_mail_seconds_bucket{host="a",le="+Inf"} 4\n'
        'shop_mail_seconds_count{host="a"} 4\n'
        'shop_mail_seconds_sum{host="a"} 7.6\n'
    )


def test_open_metrics(metrics: Metrics) -> None:
    shown = Prometheus(metrics, buckets=(1,))
    metrics.counter("calls_total").add(2)
    metrics.histogram("t.seconds").observe(0.5)
    assert shown.open_metrics() == (
        "# TYPE calls counter\n"
        "# HELP calls The counter calls_total.\n"
        "calls_total 2.0\n"
        "# TYPE t_seconds histogram\n"
        "# UNIT t_seconds seconds\n"
        "# HELP t_seconds The histogram t.seconds.\n"
        't_seconds_bucket{le="1.0"} 1\n'
        't_seconds_bucket{le="+Inf"} 1\n'
        "t_seconds_count 1\n"
        "t_seconds_sum 0.5\n"
        "# EOF\n"
    )


def test_nothing_yet(metrics: Metrics) -> None:
    shown = Prometheus(metrics)
    metrics.counter("calls")
    assert (shown.text(), shown.open_metrics()) == ("", "# EOF\n")


def everything(metrics: Metrics) -> Prometheus:
    shown = Prometheus(metrics)
    add = measure(metrics)(lambda ctx, request: request)
    for n in range(20):
        add(Context(), n)
    metrics.counter("event.limiter_fell_back").add()
    metrics.gauge("breaker.state", ("breaker", "state")).labels("billing", "open").set(1)
    metrics.histogram("body.size", unit="byte").observe(5e12)
    metrics.counter("hostile", ("who",)).labels('\\"} 1\nforged 2').add()
    return shown


def test_promtool_has_nothing_to_say(metrics: Metrics) -> None:
    assert promtool(everything(metrics).text()) == ""
    assert promtool("# TYPE calls counter\ncalls 1\n") != ""


def test_both_formats_are_what_their_parsers_read(metrics: Metrics) -> None:
    shown = everything(metrics)
    text = list(text_string_to_metric_families(shown.text()))
    strict = list(open_metrics_parser.text_string_to_metric_families(shown.open_metrics()))
    by_text = {(s.name, *sorted(s.labels.items())): s.value for f in text for s in f.samples}
    by_open = {(s.name, *sorted(s.labels.items())): s.value for f in strict for s in f.samples}
    assert by_text == by_open
    assert by_text["request_count_total", ("endpoint", "<lambda>"), ("outcome", "ok")] == 20
    assert [f.name for f in strict if f.unit] == ["request_seconds"]
    assert not any(name[0].startswith("forged") for name in by_text)


@given(
    values=st.lists(st.floats(min_value=0, max_value=1e6), max_size=60),
    bounds=st.lists(
        st.floats(min_value=1e-6, max_value=1e6), min_size=1, max_size=8, unique=True
    ).map(sorted),
)
def test_buckets_hold_all_up_to_their_bound_and_nothing_2_percent_over_it(
    values: list[float], bounds: list[float]
) -> None:
    found = list(_cumulative(Distribution.of(values), bounds, ()))
    assert [each.bound for each in found] == [*bounds, math.inf]
    assert found[-1].held == len(values)
    for bound, count, _ in found[:-1]:
        least = sum(value <= bound for value in values)
        assert least <= count <= sum(value <= bound * 1.0203 + 1e-9 for value in values)
    counts = [each.held for each in found]
    assert counts == sorted(counts)


def test_each_histogram_has_the_buckets_of_its_unit_or_its_own(metrics: Metrics) -> None:
    shown = Prometheus(metrics, buckets_of={"mine": (3,)})
    metrics.histogram("t").observe(1)
    metrics.histogram("size", unit="byte").observe(1)
    metrics.histogram("mine").observe(1)
    bounds: dict[str, list[float]] = {}
    for family in text_string_to_metric_families(shown.text()):
        for sample in family.samples:
            if "le" in sample.labels:
                bounds.setdefault(family.name, []).append(float(sample.labels["le"]))
    endless = [math.inf]
    assert bounds == {"t": [*SECONDS, *endless], "size": [*SIZES, *endless], "mine": [3, *endless]}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda m: m.histogram("t", ("le",)), "'le' is taken in Prometheus"),
        (lambda m: m.counter("c", ("__name__",)), "'__name__' is taken"),
        (lambda m: m.counter("c", ("host",)), "'host' is taken"),
        (lambda m: [m.counter("a.b"), m.counter("a_b")], "a_b and a.b both show a_b "),
        (lambda m: [m.gauge("a_total"), m.counter("a")], "both show a_total"),
        (lambda m: [m.histogram("a"), m.gauge("a.count")], "both show a_count"),
    ],
)
@pytest.mark.parametrize("before", [True, False])
def test_what_cannot_be_shown_is_refused_when_it_is_made(
    metrics: Metrics, make: Callable[[Metrics], object], words: str, before: bool
) -> None:
    if before:
        Prometheus(metrics, labels={"host": "a"})
        with pytest.raises(ConfigurationError, match=words):
            make(metrics)
    else:
        make(metrics)
        with pytest.raises(ConfigurationError, match=r"taken in Prometheus|both show"):
            Prometheus(metrics, labels={"host": "a"})


def test_a_counter_may_have_a_label_le(metrics: Metrics) -> None:
    shown = Prometheus(metrics)
    metrics.counter("c", ("le",)).labels("1").add()
    assert 'c_total{le="1"} 1.0' in shown.text()


def test_what_another_version_left_under_the_same_name_does_not_spoil_the_page(
    arena: Arena,
) -> None:
    old = Metrics(arena=arena)
    old.gauge("depth").set(3)
    old.counter("a.b").add()
    new = Metrics(arena=arena)
    shown = Prometheus(new)
    new.counter("a_b").add(5)
    new.histogram("depth").observe(1)
    strict = open_metrics_parser.text_string_to_metric_families(shown.open_metrics())
    names = {family.name: family.type for family in strict}
    assert names == {"a_b": "counter", "depth": "histogram", "a_b_counter": "counter"} | {
        "depth_gauge": "gauge"
    }
    assert "a_b_total 5.0\n" in shown.text()
    assert "a_b_counter_total 1.0\n" in shown.text()


@pytest.mark.parametrize(
    "options",
    [
        {"prefix": "1a"},
        {"prefix": "é"},
        {"prefix": "a" * 65},
        {"labels": {"__a": "b"}},
        {"labels": {"a-b": "c"}},
        {"buckets": ()},
        {"buckets": (2, 1)},
        {"buckets": (1, 1)},
        {"buckets": (0, 1)},
        {"buckets": (1, math.inf)},
        {"buckets": (math.nan,)},
        {"buckets": ("1",)},
        {"buckets": range(1, 102)},
        {"buckets_of": {"t": (-1,)}},
    ],
)
def test_bad_options_are_refused_at_once(metrics: Metrics, options: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        Prometheus(metrics, **options)


def test_numbers() -> None:
    assert [number(each) for each in (1, 1e22, math.inf, -math.inf, math.nan)] == [
        "1.0",
        "1e+22",
        "+Inf",
        "-Inf",
        "NaN",
    ]
    assert label_text([("a", "x\ny")]) == 'a="x\\ny"'


class Traced:
    def __init__(self, trace_id: str, sampled: bool | None = None) -> None:
        self.trace_id, self.span_id = trace_id, "1" * 16
        if sampled is not None:
            self.sampled = sampled

    def headers(self) -> list[tuple[str, str]]:
        return []


def test_a_slow_call_s_trace_is_remembered_by_its_bucket(arena: Arena) -> None:
    clock = ManualClock()
    metrics = Metrics(arena=arena, clock=clock)
    shown = Prometheus(metrics, buckets=(0.1, 0.5, 2))

    @measure(metrics)
    def nap(ctx: Context, seconds: float) -> None:
        clock.advance(seconds)
        if seconds > 5:
            raise ValueError

    for trace_id, seconds, sampled in (
        ("a" * 32, 0.05, True),
        ("b" * 32, 0.2, True),
        ("c" * 32, 0.3, None),
        ("d" * 32, 0.3, False),
        ("", 0.3, True),
    ):
        nap(Context(span=Traced(trace_id, sampled)), seconds)
    nap(Context(), 0.3)
    with pytest.raises(ValueError):
        nap(Context(span=Traced("e" * 32)), 9)
    assert "trace_id" not in shown.text()
    families = open_metrics_parser.text_string_to_metric_families(shown.open_metrics())
    kept = {
        sample.labels["le"]: sample.exemplar and sample.exemplar.labels["trace_id"]
        for family in families
        for sample in family.samples
        if "le" in sample.labels
    }
    assert kept == {"0.1": None, "0.5": "c" * 32, "2.0": None, "+Inf": "e" * 32}
    for n in range(2000):
        nap(Context(span=Traced("f" * 32)), 0.1 * 1.01 ** (n % 300))
    (key,) = metrics.exemplars._kept
    assert len(metrics.exemplars.of(key)) < 20


def test_slow_is_seconds_over_0(metrics: Metrics) -> None:
    with pytest.raises(ConfigurationError, match="slow"):
        measure(metrics, slow=0)


def page(app, **more):
    return call(app, environ("GET", "/metrics", **more))


PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "open_metrics"),
    [
        (None, False),
        ("", False),
        ("*/*", False),
        ("text/html,*/*;q=0.8", False),
        ("application/json", False),
        ("application/openmetrics-text;version=0.0.1", False),
        ("garbage;;;,q=x", False),
        ("text/plain;q=0.9,application/openmetrics-text;version=1.0.0;q=0.2", False),
        (PROMETHEUS, True),
        ("application/openmetrics-text", True),
    ],
)
def test_the_format_is_the_one_that_is_preferred(tmp_path, metrics, accept, open_metrics) -> None:
    metrics.counter("calls").add()
    app = make(tmp_path, metrics=metrics, prometheus=Prometheus(metrics))
    status, headers, body = page(app, **({} if accept is None else {"HTTP_ACCEPT": accept}))
    version = "application/openmetrics-text; version=1.0.0" if open_metrics else None
    assert status == "200 OK"
    assert headers["content-type"] == f"{version or 'text/plain; version=0.0.4'}; charset=utf-8"
    assert (headers["cache-control"], headers["vary"]) == ("no-store", "Accept")
    assert body.endswith(b"# EOF\n") is open_metrics
    assert b"calls_total 1.0\n" in body


@pytest.mark.parametrize("asked", ["open", "closed", None])
@pytest.mark.parametrize("debug_vars", ["open", "closed"])
def test_strangers_see_it_only_where_it_is_open(tmp_path, metrics, asked, debug_vars) -> None:
    app = make(
        tmp_path,
        metrics=metrics,
        prometheus=Prometheus(metrics),
        metrics_page=asked,
        debug_vars=debug_vars,
    )
    assert page(app)[0] == "200 OK"
    for stranger in ({"REMOTE_ADDR": "10.0.0.1"}, {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}):
        status, _, body = page(app, **stranger)
        if (asked or debug_vars) == "open":
            assert status == "200 OK"
        else:
            assert (status, b"metrics_page='open'" in body) == ("403 Forbidden", True)


def test_there_is_no_page_unless_it_is_asked_for(tmp_path) -> None:
    assert page(make(tmp_path))[0] == "404 Not Found"
    with pytest.raises(ConfigurationError, match="metrics_page='ajar'"):
        make(tmp_path, metrics_page="ajar")
