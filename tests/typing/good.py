"""A user's own module: everything here is right, and keeps its types."""

import functools
from dataclasses import dataclass
from typing import assert_type

from falconkit import Context, Endpoint, Key, Middleware, chain, layer, named, nop
from falconkit.circuitbreaker import CircuitBreaker, guard
from falconkit.deadline import deadline, timeout
from falconkit.endpoint import Req, Res
from falconkit.layers import observers
from falconkit.metrics import Metrics
from falconkit.presets import call_stack, client_stack, observe_stack, server_stack, try_stack
from falconkit.ratelimit import TokenBucket, by_caller, delay, limit
from falconkit.retry import Threads, hedge, on, retry, seconds, transient, tries
from falconkit.testing import ManualClock, Script, conform_middleware
from falconkit.tracing import (
    FileReporter,
    LeanTracer,
    LogReporter,
    Reporter,
    Several,
    SpanList,
    Tracer,
    TraceRing,
    trace,
)
from falconkit.tracing.otel import OTelTracer
from falconkit.tracing.otlp import OTLPReporter
from falconkit.tracing.zipkin import ZipkinReporter
from falconkit.transport import http
from falconkit.transport.http.client import Client


@dataclass
class AddRequest:
    v: int


@dataclass
class Summed:
    total: int

    def failed(self) -> Exception | None:
        return None


def shout(word: str) -> Middleware:
    """A middleware of the user's own."""

    @layer("shout", word=word)
    def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        def call(ctx: Context, request: Req) -> Res:
            return next(ctx, request)

        return call

    return wrap


def bare(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
    """A middleware without a factory."""

    @functools.wraps(next)
    def call(ctx: Context, request: Req) -> Res:
        return next(ctx, request)

    return call


def only_sums(next: Endpoint[AddRequest, int], /) -> Endpoint[AddRequest, int]:
    """A middleware for one type of request: it stands outside of `chain`."""

    def call(ctx: Context, request: AddRequest) -> int:
        return next(ctx, request) + request.v

    return call


def add(ctx: Context, request: AddRequest) -> int:
    return request.v


stack = chain(shout("a"), bare, limit(TokenBucket("1/second")), delay("1/second"), chain())
assert_type(stack, Middleware)
assert_type(stack(add)(Context(), AddRequest(1)), int)
assert_type(observers(add)(add)(Context(), AddRequest(1)), int)
assert_type(only_sums(stack(add))(Context(), AddRequest(1)), int)


@shout("a")
@bare
@stack
def decorated(ctx: Context, request: AddRequest) -> int:
    return request.v


assert_type(decorated(Context(), AddRequest(1)), int)


@named("sum")
def summed(ctx: Context, request: AddRequest) -> Summed:
    return Summed(request.v)


assert_type(summed(Context(), AddRequest(1)), Summed)
assert_type(stack(summed)(Context(), AddRequest(1)).total, int)
assert_type(stack(nop)(Context(), 1), None)


class Service:
    def add(self, ctx: Context, request: AddRequest) -> int:
        return request.v

    def __call__(self, ctx: Context, request: AddRequest) -> str:
        return str(request.v)


assert_type(stack(Service().add)(Context(), AddRequest(1)), int)
assert_type(stack(Service())(Context(), AddRequest(1)), str)

USER: Key[str] = Key("user")
ctx = Context(deadline=4.5).having(USER, "ann")
assert_type(ctx.get(USER), str | None)
assert_type(ctx.get(USER, 0), str | int)
assert_type(ctx.deadline, float | None)
assert_type(ctx.notes.of(int), tuple[int, ...])

client: Client[AddRequest, Summed] = Client("POST", "http://counter/add", returns=Summed)
assert_type(client(ctx, AddRequest(1)), Summed)
assert_type(stack(client)(ctx, AddRequest(1)), Summed)
unannotated = Client("POST", "http://counter/add", returns=Summed)
assert_type(unannotated(ctx, AddRequest(1)), Summed)
endpoint: Endpoint[AddRequest, Summed] = stack(client)

kept = chain(
    deadline(),
    retry(stop=tries(3) | seconds(2), when=transient | on(OSError) | (lambda error: True)),
    timeout(1.0),
)
assert_type(kept(client)(ctx, AddRequest(1)), Summed)
assert_type(retry(when=lambda error: not error.args)(add)(ctx, AddRequest(1)), int)
assert_type(hedge(Threads(2))(add)(ctx, AddRequest(1)), int)

conform_middleware(lambda: shout("a"))
conform_middleware(lambda: bare)
scripted: Endpoint[AddRequest, int] = stack(Script(1))
guarded = chain(guard(), guard(CircuitBreaker("counter", is_failure=lambda outcome: None)))
assert_type(guarded(client)(ctx, AddRequest(1)), Summed)
limited = limit(TokenBucket("1/second", clock=ManualClock()))


reporters: list[Reporter] = [
    ZipkinReporter("http://zipkin:9411"),
    FileReporter("spans"),
    LogReporter(),
    OTLPReporter("http://collector:4318/v1/traces"),
    TraceRing(),
    SpanList(),
]
tracers: list[Tracer] = [LeanTracer("counter", reporter=Several(*reporters)), OTelTracer()]
numbers = Metrics()
served = server_stack(
    numbers, tracer=tracers[0], authenticate=shout("who"), limit="30/minute", key=by_caller
)
assert_type(chain(observe_stack(numbers), served)(add)(ctx, AddRequest(1)), int)
counter = client_stack(numbers, tracer=tracers[0], breaker=CircuitBreaker)(client)
assert_type(counter(ctx, AddRequest(1)), Summed)
tried: Endpoint[AddRequest, Summed] = call_stack(numbers)(try_stack(timeout=1.0)(client))
traced = chain(trace(tracers[0]), limit("1/second"))(add)
assert_type(traced(Context(), AddRequest(1)), int)

behind = http.service(
    "counter", sd="static://10.0.0.1:80", around=call_stack(numbers), each=try_stack(), zone="a"
)
assert_type(behind.post("/add", returns=Summed)(ctx, AddRequest(1)), Summed)
total_of: Endpoint[int, Summed] = behind.get("/total/{id}", returns=Summed, timeout=1.0)
