"""What the recommended stacks are made of, and what they do together."""

import json
import logging

import pytest

from falconkit import Context, Key, chain, layer, layers, nop
from falconkit.arena import Arena
from falconkit.circuitbreaker import CircuitBreaker
from falconkit.context import ATTEMPT
from falconkit.errors import (
    CircuitOpen,
    ConfigurationError,
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
