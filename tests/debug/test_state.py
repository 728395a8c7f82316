"""What ``/debug/state`` tells: endpoints, limiters, breakers, services, and what happened."""

from __future__ import annotations

from functools import partial

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from falconkit import Context, chain
from falconkit.arena import Arena
from falconkit.circuitbreaker import CircuitBreaker, guard
from falconkit.debug.breakers import ACTIONS, id_of, rules_of
from falconkit.debug.counts import latency_of
from falconkit.debug.recent import KEPT, Recent
from falconkit.debug.roll import CALLS, IN_FLIGHT, Roll
from falconkit.debug.shown import shown, shown_config
from falconkit.debug.state import State
from falconkit.errors import DecodeError, Failed, UpstreamTimeout
from falconkit.events import BreakerChanged
from falconkit.metrics import Distribution, Metrics, measure
from falconkit.ratelimit import TokenBucket, WindowLimiter, by_caller, limit
from falconkit.settings import Settings
from falconkit.testing import ManualClock
from falconkit.transport import http
from tests.transport.serving import call, environ, make

HOSTILE = "<script>alert(1)</script>\u202e\x00'\""


def read(app: http.App, **more: str) -> State:
    status, headers, body = call(app, environ("GET", "/debug/state", **more))
    assert (status, headers["cache-control"]) == ("200 OK", "no-store")
    return msgspec.json.decode(body, type=State)


class Shop:
    """An app with its page on, its metrics, and what its endpoint ``work`` does next."""

    def __init__(self, tmp_path, *, around=None, **options) -> None:
        self.clock = ManualClock(time=1_700_000_000.0)
        self.arena = Arena(tmp_path / "run", clock=self.clock)
        self.metrics = Metrics(arena=self.arena, clock=self.clock)
        self.takes, self.fails = 0.0, None
        self.app = http.app(
            settings=options.pop("settings", None) or Settings(debug_page="local"),
            metrics=self.metrics,
            arena=self.arena,
            clock=self.clock,
            observe=measure(self.metrics),
            **options,
        )
        stack = measure(self.metrics)
        self.app.post("/work", self.work, chain(stack, around) if around else stack)

    def work(self, ctx: Context, v: int) -> int:
        self.clock.advance(self.takes)
        if self.fails is not None:
            raise self.fails
        return v

    def ask(self, path="/work", body=b"1", **more: str) -> str:
        return call(self.app, environ("POST", path, body, **more))[0]

    def state(self) -> State:
        self.clock.advance(1.0)  # what takes long to read is kept for a second
        return read(self.app)


@pytest.fixture
def shop(tmp_path):
    return Shop(tmp_path)


def test_counts_and_latency_of_each_endpoint(shop):
    shop.takes = 0.05
    for _ in range(3):
        assert shop.ask() == "200 OK"
    shop.fails = KeyError("v")
    assert shop.ask().startswith("500")
    shop.fails = Failed("sold out")
    assert shop.ask().startswith("409")
    assert shop.ask(body=b'"no number"').startswith("400")
    work, unmatched = shop.state().endpoints
    assert (work.method, work.path, work.name, work.measured) == ("POST", "/work", "work", True)
    assert [each.name for each in work.chain] == ["remember", "measure"]
    assert (work.count, work.ok, work.failed, work.invalid, work.error) == (6, 3, 1, 1, 1)
    assert work.kinds == {"key_error": 1, "failed": 1, "decode_error": 1}
    assert work.latency.count == 6
    assert work.latency.p50 == pytest.approx(0.05, rel=0.01)
    assert (unmatched.name, unmatched.count) == ("unmatched", 0)
    assert shop.ask("/nowhere").startswith("404")
    assert shop.state().endpoints[-1].count == 1


def test_counts_never_go_back_and_time_goes_on(shop):
    before = shop.state()
    shop.ask()
    after = shop.state()
    assert after.run == before.run
    assert after.at > before.at
    assert after.endpoints[0].count == before.endpoints[0].count + 1


def test_an_endpoint_that_nothing_measures_says_so(tmp_path):
    shop = Shop(tmp_path)
    shop.app.post("/bare", lambda ctx, v: v, None, name="bare", decode=http.json_decoder(int))
    assert [each.measured for each in shop.state().endpoints] == [True, False, True]


def test_failures_are_remembered_with_their_request(shop):
    shop.fails = RuntimeError(f"{HOSTILE} redis://:hunter2@cache/0?api_key=abc")
    shop.takes = 0.25
    env = environ("POST", "/work", b"1", HTTP_X_REQUEST_ID="a-request-of-20-chars")
    assert call(shop.app, env)[0].startswith("500")
    (failed,) = shop.state().errors
    assert (failed.endpoint, failed.kind, failed.seconds) == ("work", "runtime_error", 0.25)
    assert (failed.method, failed.path) == ("POST", "/work")
    assert failed.request_id == "a-request-of-20-chars"
    assert failed.at == pytest.approx(shop.clock.time(), abs=5)
    assert "hunter2" not in failed.message
    assert "abc" not in failed.message
    assert "\u202e" not in failed.message


@pytest.mark.parametrize("error", [Failed("no"), DecodeError("no"), UpstreamTimeout("late")])
def test_only_what_is_our_fault_is_an_error(shop, error):
    shop.fails = error
    shop.ask()
    shop.ask("/nowhere")
    assert [each.kind for each in shop.state().errors] == (
        ["upstream_timeout"] if isinstance(error, UpstreamTimeout) else []
    )


def test_slow_calls_are_remembered_the_slowest_first_for_a_while(shop):
    for seconds in (0.2, 0.05, 0.7, 0.1):
        shop.takes = seconds
        shop.ask()
    assert [each.seconds for each in shop.state().slow] == pytest.approx([0.7, 0.2, 0.1])
    assert shop.state().slow_after == 0.1
    shop.clock.advance(600)
    assert shop.state().slow == []


def test_a_flood_of_failures_leaves_the_last(tmp_path):
    recent = Recent(Arena(tmp_path / "run"))
    for number in range(KEPT + 10):
        recent.failed("add", Context(request_id=f"r-{number}"), 0.0, KeyError())
    found = recent.failures()
    assert [found[0].request_id, found[-1].request_id] == [f"r-{KEPT + 9}", "r-10"]
    assert len(found) == KEPT


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=2000), st.text(max_size=2000), st.text(max_size=3000))
def test_whatever_a_caller_sends_fits(path, request_id, message):
    recent = Recent(Arena(directory=None))
    recent.failed(path, Context(path, path, request_id), 0.1, RuntimeError(message))
    recent.slow(path, Context(path, path, request_id), 0.1, RuntimeError(message))
    recent.listen(BreakerChanged(path, "closed", "open", 1.0, message, 1))
    recent.filled(path, request_id[:200].encode(errors="replace").decode())
    assert len(recent.failures()) == 1
    assert sum(map(len, recent.changes().values())) == 1
    assert sum(map(len, recent.keys().values())) == 1
    assert msgspec.json.encode(recent.failures())


def test_an_error_that_cannot_be_shown_is_remembered_without_words(tmp_path):
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    recent = Recent(Arena(directory=None))
    recent.failed("add", Context(), 0.0, Mute())
    assert [(each.kind, each.message) for each in recent.failures()] == [("mute", "")]


def test_the_fullest_keys_of_a_limiter(tmp_path):
    arena = Arena(tmp_path / "buckets")
    bucket = TokenBucket("4/hour", arena=arena)
    shop = Shop(tmp_path, around=limit(bucket, key=by_caller))
    for caller, calls in (("10.0.0.1", 5), ("10.0.0.2", 3), ("10.0.0.3", 1)):
        for _ in range(calls):
            shop.ask(REMOTE_ADDR=caller)
    (limiter,) = shop.state().limiters
    assert (limiter.rate, limiter.burst, limiter.endpoints) == ("4 per 1 hour", 4, ["work"])
    assert [(each.key, each.level) for each in limiter.keys] == [
        ("work/10.0.0.1", 1.0),
        ("work/10.0.0.2", 0.75),
    ]
    assert limiter.known == 2
    bucket.clear("work/10.0.0.1")
    assert shop.state().limiters[0].keys[0].key == "work/10.0.0.2"


def test_a_limiter_without_keys_shows_its_endpoint_s_own(tmp_path):
    shop = Shop(tmp_path, around=limit(TokenBucket("4/hour", storage="memory://")))
    assert [(key.key, key.level) for key in shop.state().limiters[0].keys] == [("work", 0.0)]


@pytest.mark.parametrize("strategy", ["fixed-window", "sliding-window-counter"])
def test_a_window_shows_its_keys_too(tmp_path, strategy):
    clock = ManualClock()
    window = WindowLimiter(
        "4/hour", strategy=strategy, arena=Arena(tmp_path / "w", clock=clock), clock=clock
    )
    shop = Shop(tmp_path, around=limit(window, key=by_caller))
    for _ in range(3):
        shop.ask(REMOTE_ADDR="10.0.0.1")
    (key,) = shop.state().limiters[0].keys
    assert (key.key, key.level, key.remaining) == ("work/10.0.0.1", 0.75, 1)


def test_a_limiter_of_somebody_else_s_is_shown_without_keys(tmp_path):
    class Always:
        def take(self, key, cost=1):
            return TokenBucket("1/second", storage="memory://").take(key)

        def __repr__(self) -> str:
            return "Always()"

    (limiter,) = Shop(tmp_path, around=limit(Always())).state().limiters
    assert (limiter.name, limiter.burst, limiter.keys) == ("Always()", None, [])


def test_limiters_of_one_rate_keep_their_keys_apart(tmp_path):
    arena = Arena(tmp_path / "buckets")
    shop = Shop(tmp_path, around=limit(TokenBucket("2/hour", arena=arena), key=by_caller))
    other = chain(measure(shop.metrics), limit(TokenBucket("2/hour", arena=arena), key=by_caller))
    shop.app.post("/other", lambda ctx, v: v, other, name="other", decode=http.json_decoder(int))
    for _ in range(2):
        shop.ask()
        shop.ask("/other")
    assert [[key.key for key in each.keys] for each in shop.state().limiters] == [
        ["work/127.0.0.1"],
        ["other/127.0.0.1"],
    ]


def test_breakers_with_their_changes(tmp_path):
    arena = Arena(tmp_path / "breakers")
    breaker = CircuitBreaker("bank", failures_in_a_row=1, failure_ratio=None, arena=arena)
    shop = Shop(tmp_path, around=guard(breaker))
    (before,) = shop.state().breakers
    assert (before.name, before.state, before.changes) == ("bank", "closed", [])
    shop.fails = UpstreamTimeout("late")
    shop.ask()
    (after,) = shop.state().breakers
    assert (after.id, after.state, after.forced) == (id_of(breaker), "open", False)
    assert (after.endpoints, after.shared) == (["work"], True)
    assert [(each.old, each.new) for each in after.changes] == [("closed", "open")]
    assert after.rules == "1 failures in a row; open for 5 to 60 s"


@pytest.mark.parametrize(
    ("rules", "told"),
    [
        ({"wait": 60.0}, "50% failed of 30 s; open for 60 s"),
        (
            {"slow_after": 0.5, "window_calls": 20},
            "50% failed of 20 calls or 50% slower than 0.5 s of 20 calls; open for 5 to 60 s",
        ),
    ],
)
def test_a_breaker_s_rules_in_words(rules, told):
    assert rules_of(CircuitBreaker("bank", shared=False, **rules)) == told


def test_what_is_called_is_shown_once_it_is_handed_over(tmp_path):
    shop = Shop(tmp_path)
    make_breaker = partial(CircuitBreaker, arena=Arena(tmp_path / "breakers"))
    stock = shop.app.watch(
        http.service(
            "stock",
            sd="static://10.0.0.1:80,10.0.0.2:80",
            around=measure(shop.metrics, prefix="call"),
            each=guard(make_breaker),
        )
    )
    left = stock.get("/left/{id}", returns=int)
    rates = http.Client("GET", "http://rates/now", name="rates")
    shop.app.watch(measure(shop.metrics, prefix="call")(rates))
    state = shop.state()
    assert [each.name for each in state.services] == ["stock", "rates"]
    assert [each.name for each in state.services[1].endpoints[0].chain] == ["measure"]
    service = state.services[0]
    assert [(each.address, each.state) for each in service.instances] == [
        ("10.0.0.1:80", "up"),
        ("10.0.0.2:80", "up"),
    ]
    assert service.known == 2
    assert [each.path for each in service.endpoints] == ["/left/{id}"]
    assert [each.name for each in service.endpoints[0].chain] == ["measure", "guard"]
    assert [each.endpoints for each in state.breakers] == [["stock_get_left_id"]]
    assert callable(left)
    stock.close()


def test_workers_are_those_that_live(tmp_path):
    shop = Shop(tmp_path)
    shop.ask()
    shop.ask()
    (worker,) = shop.state().workers
    assert (worker.calls, worker.in_flight) == (2, 0)
    assert worker.seconds >= 0


def test_a_worker_enters_once_and_counts_what_it_does():
    roll = Roll(Arena(directory=None))
    roll.enter()
    roll.mine()[IN_FLIGHT] += 1.0
    roll.mine()[CALLS] += 3.0
    roll.enter()
    assert [(each.calls, each.in_flight) for each in roll.workers()] == [(3, 1)]


def test_a_process_alone_says_so(tmp_path):
    clock = ManualClock()
    arena = Arena(directory=None)
    app = http.app(
        debug_page="local",
        metrics=Metrics(arena=arena, clock=clock),
        arena=arena,
        clock=clock,
        settings=Settings(),
    )
    assert "FALCONKIT_RUN" in read(app).notes[0]


def test_without_the_page_nothing_is_put_around_an_endpoint(tmp_path):
    app = make(tmp_path)
    app.post("/add", lambda ctx, v: v, None, name="add", decode=http.json_decoder(int))
    assert app.wired[0].layers == ()
    assert call(app, environ("GET", "/debug"))[0].startswith("404")
    assert call(app, environ("GET", "/debug/state"))[0].startswith("404")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.floats(1e-6, 100.0), min_size=1, max_size=50), st.sampled_from([0.5, 0.9, 0.99]))
def test_quantiles_from_the_wide_buckets_are_right_to_4_percent(values, share):
    latency = latency_of(Distribution.of(values))
    assert sum(count for _, count in latency.buckets) == latency.count == len(values)
    assert [edge for edge, _ in latency.buckets] == sorted(edge for edge, _ in latency.buckets)
    rank = max(1, -int(-share * len(values) // 1))
    passed, guess = 0, 0.0
    for edge, count in latency.buckets:
        passed += count
        if passed >= rank:
            guess = edge / 1.04
            break
    assert guess == pytest.approx(sorted(values)[rank - 1], rel=0.05)


class Sulking:
    def __repr__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("postgres://ann:hunter2@db/x", "postgres://ann:***@db/x"),
        ("redis://:p@ss@cache", "redis://:***@cache"),
        ("http://h/?token=abc&page=2", "http://h/?token=***&page=2"),
        (id_of, "id_of"),
        (None, ""),
        (Sulking(), "<Sulking>"),
        ("x" * 500, "x" * 199 + "…"),
        ("\ud800", "?"),
    ],
)
def test_values_are_shown_without_secrets(value, text):
    assert shown(value) == text


def test_an_address_in_memory_is_of_no_use():
    assert " at 0x" not in shown(object())


def test_configuration_is_hidden_by_its_name():
    assert shown_config({"password": "x", "n": 3, "none": None}) == {"password": "***", "n": "3"}
    assert "force-open" in ACTIONS
