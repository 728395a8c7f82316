"""A service with one of everything that ``/debug`` shows; ``MANY`` adds endpoints that are met."""

from __future__ import annotations

import os
from functools import partial

from falconkit import Context, chain
from falconkit.circuitbreaker import CircuitBreaker, guard
from falconkit.context import Key
from falconkit.metrics import Metrics
from falconkit.presets import call_stack, observe_stack, try_stack
from falconkit.ratelimit import TokenBucket, by_caller, limit
from falconkit.settings import Settings
from falconkit.tracing import LeanTracer, TraceRing
from falconkit.transport import http

HOSTILE = "<img src=x onerror='window.ran=1'>\"&'\u202e"
USER: Key[str] = Key("user")


class Down(Exception):
    """What a dependency raises that is down."""


def whoever(request: http.Request, ctx: Context) -> Context:
    return ctx.replace(caller=request.get_header("X-User") or ctx.caller)


def add(ctx: Context, v: int) -> int:
    return v


def boom(ctx: Context, v: int) -> int:
    raise RuntimeError(f"{HOSTILE} redis://:hunter2@cache:6379/0?token=swordfish")


def charge(ctx: Context, v: int) -> int:
    if v < 0:
        raise Down("the bank does not answer")
    return os.getpid()


def build() -> http.App:
    settings = Settings.from_env(service_name="shop")
    metrics = Metrics()
    ring = TraceRing(5_000, interval=0.05)  # all that any test makes
    tracer = LeanTracer("shop", reporter=ring)
    observe = observe_stack(metrics, tracer=tracer)
    app = http.app(
        settings=settings,
        metrics=metrics,
        observe=observe,
        tracer=tracer,
        traces=ring,
        before=(whoever,),
        slow=float(os.environ.get("SLOW", "0.000000001")),
    )
    bucket = TokenBucket("5 per hour")
    app.post("/add", add, chain(observe, limit(bucket, key=by_caller)))
    app.post("/boom", boom, observe)
    breaker = partial(
        CircuitBreaker, failures_in_a_row=2, wait=600.0, max_wait=600.0, failure_ratio=None
    )
    app.post("/charge", charge, chain(observe, guard(breaker)))
    hostile = CircuitBreaker(f"bank {HOSTILE}")
    app.post("/bank", charge, chain(observe, guard(hostile)), name="bank")
    stock = app.watch(
        http.service(
            "stock",
            sd="static://127.0.0.1:1",
            around=call_stack(metrics, tracer=tracer),
            each=try_stack(tracer=tracer),
        )
    )
    ask = stock.get("/left/{v}", returns=int)
    app.post("/left", lambda ctx, v: ask(ctx, {"v": v}), observe, decode=_whole, name="left")
    for number in range(int(os.environ.get("MANY", "0"))):
        app.post(f"/many/{number}", add, observe, name=f"many_{number:03}")
        for outcome in ("ok", "refused", "error"):
            counter = metrics.counter("request.count", ("endpoint", "outcome"))
            counter.labels(f"many_{number:03}", outcome).add(number)
        for each in range(20):
            metrics.histogram("request.seconds", ("endpoint",)).labels(f"many_{number:03}").observe(
                0.001 * 1.3**each
            )
    return app


def _whole(ctx: Context, request: http.Request) -> int:
    return int(request.read_body())


app = build()
