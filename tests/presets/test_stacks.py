"""What the recommended stacks are made of, and what they do together."""

import json
import logging

import pytest

from falconkit import Context, layer, layers, nop
from falconkit.arena import Arena
from falconkit.circuitbreaker import CircuitBreaker
from falconkit.context import ATTEMPT
from falconkit.errors import (
    CircuitOpen,
    DeadlineExceeded,
    Overloaded,
    RateLimited,
    RetriesExhausted,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from falconkit.log import Handler
from falconkit.metrics import Metrics, expvar
from falconkit.presets import call_stack, client_stack, observe_stack, server_stack, try_stack
from falconkit.ratelimit import TokenBucket, by_caller
from falconkit.retry import Budget
from falconkit.sd import Balancer, Endpointer, RoundRobin, Static
from falconkit.shedding import AdaptiveLimit, Gradient2
from falconkit.testing import ManualClock, Script
from falconkit.testing.conform_middleware import LAWS, Subject
from falconkit.testing.peer import Peer, answer, reset
from falconkit.tracing import LeanTracer, SpanList
from falconkit.transport.http.client import Client

AWAY = UpstreamUnavailable("away", upstream="users")
OBSERVE = ["log", "trace", "measure"]
CALL = [*OBSERVE, "timeout", "retry"]
TRY = ["guard", "trace", "timeout"]


@pytest.fixture
def arena(tmp_path, monkeypatch):
    monkeypatch.setenv("FALCONKIT_RUN", str(tmp_path / "run"))
    arena = Arena(tmp_path / "arena")
    yield arena
    arena.close()


@pytest.fixture
def metrics(arena):
    return Metrics(arena=arena)


@pytest.fixture
def lines():
    """What is logged of requests and calls, at any level."""
    logger = logging.getLogger("falconkit.request")
    kept = Kept()
    level, logger.propagate = logger.level, False
    logger.addHandler(kept)
    logger.setLevel(logging.DEBUG)
    yield kept.lines
    logger.removeHandler(kept)
    logger.setLevel(level)
    logger.propagate = True


class Kept(Handler):
    def __init__(self):
        super().__init__()
        self.lines = []

    def write_line(self, line, /):
        self.lines.append(json.loads(line))


@pytest.fixture
def spans():
    return SpanList()


@pytest.fixture
def tracer(spans):
    return LeanTracer("counter", reporter=spans)


@layer("authenticate")
def authenticate(next, /):
    def call(ctx, request):
        return next(ctx.replace(caller="ann"), request)

    return call


def private(name):
    return CircuitBreaker(name, shared=False)


def names(endpoint):
    return [each.name for each in layers(endpoint)]


def tried(metrics):
    """Return the counts of calls, by outcome."""
    return {
        name.partition("outcome=")[2].rstrip("}"): value
        for name, value in expvar(metrics).items()
        if name.startswith("call.count{")
    }


def test_the_order_of_each(metrics, tracer):
    full = server_stack(metrics, tracer=tracer, authenticate=authenticate, limit="9/minute")
    inside = ["authenticate", "limit", "shed", "deadline"]
    assert names(full(nop)) == [*OBSERVE, *inside]
    assert names(server_stack(metrics)(nop)) == ["log", "measure", "shed", "deadline"]
    assert names(observe_stack(metrics, tracer=tracer)(nop)) == OBSERVE
    assert names(call_stack(metrics, tracer=tracer)(nop)) == CALL
    assert names(try_stack(tracer=tracer)(nop)) == TRY
    assert names(client_stack(metrics, tracer=tracer)(nop)) == [*CALL, *TRY]
    untraced = [name for name in [*CALL, *TRY] if name != "trace"]
    assert names(client_stack(metrics)(nop)) == untraced


STACKS = {
    "observe_stack": lambda metrics, tracer: observe_stack(metrics, tracer=tracer),
    "server_stack": lambda metrics, tracer: server_stack(
        metrics,
        tracer=tracer,
        limit=TokenBucket("1000000/second", storage="memory://"),
        shed=Gradient2(initial=200),
    ),
    "call_stack": lambda metrics, tracer: call_stack(metrics, tracer=tracer),
    "try_stack": lambda metrics, tracer: try_stack(
        tracer=tracer,
        breaker=lambda name: CircuitBreaker(name, minimum_calls=20, shared=False),
    ),
    "client_stack": lambda metrics, tracer: client_stack(
        metrics,
        tracer=tracer,
        breaker=lambda name: CircuitBreaker(name, minimum_calls=20, shared=False),
    ),
}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", STACKS)
def test_laws(name, law, metrics, lines):
    if law.__name__ == "name_and_layer_can_be_read":
        return  # a chain shows each of its layers
    tracer = LeanTracer("counter", reporter=SpanList(most=10_000))

    def factory():
        stack = STACKS[name](metrics, tracer)
        return layer("stack")(lambda next: stack(next))

    law(
        Subject(
            factory,
            misconfigured=[
                lambda: observe_stack(None),
                lambda: observe_stack(metrics, tracer="zipkin"),
                lambda: server_stack(None),
                lambda: server_stack(metrics, limit="often"),
                lambda: server_stack(metrics, key=by_caller),
                lambda: server_stack(metrics, shed=8),
                lambda: server_stack(metrics, priority="high"),
                lambda: server_stack(metrics, authenticate="ann"),
                lambda: call_stack(metrics, timeout=0),
                lambda: call_stack(metrics, budget=0.1),
                lambda: call_stack(metrics, redact=[""]),
                lambda: try_stack(timeout=-1),
                lambda: try_stack(breaker="users"),
                lambda: client_stack(metrics, timeout=1.0, per_try_timeout=2.0),
                lambda: client_stack(metrics, timeout=float("nan")),
            ],
        )
    )


def test_a_server_counts_and_logs_what_it_refuses(metrics, lines, spans, tracer):
    clock = ManualClock()
    bucket = TokenBucket("3/minute", storage="memory://", clock=clock)
    stack = server_stack(metrics, tracer=tracer, limit=bucket, key=by_caller, clock=clock)
    add = stack(Script(1, 2, 3, 4, name="add"))
    for _ in range(3):
        add(Context(caller="ann"), 1)
    with pytest.raises(RateLimited):
        add(Context(caller="ann"), 1)
    assert add(Context(caller="bob"), 1) == 4  # his rate is his own
    with pytest.raises(DeadlineExceeded):
        add(Context(caller="bob", deadline=clock.monotonic()), 1)
    seen = expvar(metrics)
    assert seen["request.count"] == 6
    assert seen["request.count{endpoint=add,outcome=refused}"] == 1
    assert [line["level"] for line in lines] == ["info"] * 5 + ["warning"]
    assert lines[3]["err"] == "rate limit exceeded"
    assert not any("call" in line for line in lines)
    assert len(spans) == 6


def test_a_server_sheds_by_a_bound_that_its_endpoints_may_share(metrics, lines):
    bound = AdaptiveLimit(Gradient2(initial=1))
    stack = server_stack(metrics, shed=bound)
    inner = stack(Script(2, name="inner"))
    outer = stack(Script(lambda ctx, request: inner(ctx, request), name="outer"))
    with pytest.raises(Overloaded):
        outer(Context(), 1)
    own = server_stack(metrics)  # each endpoint has one of its own
    inner = own(Script(2, name="inner"))
    assert own(Script(lambda ctx, request: inner(ctx, request)))(Context(), 1) == 2


def test_a_client_of_one_address_over_real_sockets(metrics, lines, spans, tracer):
    clock = ManualClock()
    stack = client_stack(metrics, tracer=tracer, breaker=private, clock=clock)
    with Peer(reset(), answer(200, b'"ann"')) as peer:
        client = Client("GET", peer.url + "/users/{id}", name="get_user", clock=clock)
        get_user = stack(client)
        assert get_user(Context(path="/orders", request_id="r" * 20), {"id": 7}) == "ann"
        client.close()
    assert [request.headers.get("x-request-attempt") for request in peer.requests] == [None, "2"]
    # What is sent on is the time of a try, not that of the call.
    assert {request.headers["x-request-timeout-ms"] for request in peer.requests} == {"3000"}
    assert tried(metrics) == {"ok": 1}
    assert [(span.name, span.kind) for span in spans] == [
        ("get_user", "client"),
        ("get_user", "client"),
        ("get_user", "local"),
    ]
    (line,) = lines
    assert (line["level"], line["call"], line["path"]) == ("debug", "get_user", "/orders")
    assert (line["request"], line["result"]) == ({"id": 7}, "ann")


def test_a_client_of_what_is_away(metrics, lines):
    clock = ManualClock()
    with Peer() as peer:
        url = peer.url
    client = Client("GET", url + "/users", name="get_users", service="users", clock=clock)
    budget = Budget(clock=clock)
    get_users = client_stack(metrics, breaker=private, budget=budget, clock=clock)(client)
    with pytest.raises(RetriesExhausted) as failed:
        get_users(Context(), {})
    assert (len(failed.value.causes), failed.value.upstream) == (3, "users")
    (line,) = lines
    assert (line["level"], line["call"]) == ("warning", "get_users")
    assert line["err"].endswith("(3 tries, stopped)")
    for _ in range(2):
        with pytest.raises(UpstreamUnavailable):
            get_users(Context(), {})
    with pytest.raises(CircuitOpen) as refused:
        get_users(Context(), {})
    # Each try is one failure to the breaker: the tenth opened it, the eleventh was not made.
    assert [type(cause) for cause in refused.value.causes][-1] is CircuitOpen
    with pytest.raises(CircuitOpen):
        get_users(Context(), {})
    (breaker,) = (each.config["breaker"] for each in layers(get_users) if each.name == "guard")
    assert breaker.name == "users@" + url.removeprefix("http://")
    assert breaker.state == "open"
    assert tried(metrics) == {"error": 3, "refused": 2}
    client.close()


def test_a_write_that_may_have_run_is_not_tried_again(metrics, lines):
    clock = ManualClock()
    late = UpstreamTimeout("late", upstream="users")
    stack = client_stack(metrics, breaker=private, clock=clock)
    write = Script(late, AWAY, "done", name="write")
    write.idempotent = False
    with pytest.raises(UpstreamTimeout) as failed:
        stack(write)(Context(method="GET"), 1)
    assert failed.value is late
    assert stack(write)(Context(method="GET"), 1) == "done"  # what was not run is
    read = Script(late, "done", name="read")
    assert client_stack(metrics, idempotent=True, clock=clock)(read)(Context(), 1) == "done"


def test_the_time_of_a_try_is_within_that_of_the_call(metrics, lines):
    clock = ManualClock()

    def slow(ctx, request):
        clock.advance(2.9)
        raise UpstreamTimeout("late", upstream="users")

    inner = Script(slow, slow, slow, slow)
    inner.idempotent = True
    began = clock.monotonic()
    with pytest.raises(RetriesExhausted):
        client_stack(metrics, breaker=private, timeout=8.0, clock=clock)(inner)(Context(), 1)
    ends = [ctx.deadline - began for ctx in inner.contexts]
    assert ends[0] == pytest.approx(3.0)
    assert ends[2] == pytest.approx(8.0)  # what is left, not three seconds more
    assert [ctx.get(ATTEMPT) for ctx in inner.contexts] == [None, 2, 3]


def test_the_clients_of_a_service_share_one_budget(metrics, lines):
    clock = ManualClock()
    never = CircuitBreaker("never", failure_ratio=None, failures_in_a_row=10**6, shared=False)
    stack = client_stack(metrics, breaker=never, clock=clock)
    read, write = (Script(*[AWAY] * 600, name=name) for name in ("read", "write"))
    one, other = stack(read), stack(write)
    began = clock.monotonic()
    for _ in range(100):
        for call in (one, other):
            with pytest.raises(RetriesExhausted):
                call(Context(), 1)
            clock.advance(0.01)
    seconds = clock.monotonic() - began
    retries = len(read.calls) + len(write.calls) - 200
    assert retries <= 0.1 * 200 + 2.0 * (seconds / 0.9 + 1)  # the ratio, and the floor each second
    assert len(read.calls) > 100
    budget = Budget(0.0, floor=0.0, clock=clock)
    shared = [client_stack(metrics, breaker=never, budget=budget, clock=clock) for _ in range(2)]
    for each in shared:
        with pytest.raises(RetriesExhausted):
            each(Script(AWAY, name="other"))(Context(), 1)
    assert budget.status() == {"calls": 2, "retries": 0, "refused": 2}


def test_the_clients_of_one_address_share_a_breaker(arena):
    made = {}

    def breaker(name):
        return made.setdefault(name, CircuitBreaker(name, arena=arena))

    stack = try_stack(breaker=breaker)
    for url in ("http://users:80/a", "http://users/b", "https://users/a", "http://mail:8000/a"):
        stack(Client("GET", url))
    stack(Client("GET", "http://10.0.0.7:8000/a", service="users"))
    stack(nop)
    assert list(made) == ["users:80", "users", "mail:8000", "users@10.0.0.7:8000", "nop"]


def test_around_a_balancer_the_next_try_asks_another_instance(metrics, lines, spans, tracer):
    clock = ManualClock()
    each = try_stack(tracer=tracer, breaker=private, clock=clock)
    guards = {}

    def member(instance):
        client = Client("GET", f"http://{instance.address}/", service="users", clock=clock)
        guarded = each(client)
        guards[instance.address] = layers(guarded)[0].config["breaker"]
        return guarded

    with Peer() as away:
        dead = f"127.0.0.1:{away.port}"
    with Peer(*[answer(200, b'"ann"')] * 30) as peer:
        alive = f"127.0.0.1:{peer.port}"
        endpointer = Endpointer(Static(dead, alive), member, service="users")
        balancer = Balancer(endpointer, RoundRobin(), name="get_user", idempotent=True, clock=clock)
        budget = Budget(clock=clock)
        get_user = call_stack(metrics, tracer=tracer, budget=budget, clock=clock)(balancer)
        assert names(get_user) == CALL
        for _ in range(30):
            assert get_user(Context(), {}) == "ann"
        balancer.close()
    assert tried(metrics) == {"ok": 30}
    assert {address: each.name for address, each in guards.items()} == {
        dead: f"users@{dead}",
        alive: f"users@{alive}",
    }
    assert guards[alive].status()["failures"] == 0
    assert guards[dead].status()["failures"] >= 1
    assert {span.kind for span in spans} == {"local", "client"}
