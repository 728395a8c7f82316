"""The stack around an endpoint that is served."""

from __future__ import annotations

from collections.abc import Iterable

from falconkit import ratelimit, shedding
from falconkit.clock import Clock, system_clock
from falconkit.deadline import deadline
from falconkit.endpoint import Middleware, chain
from falconkit.errors import ConfigurationError
from falconkit.log import log
from falconkit.metrics import Metrics, measure
from falconkit.ratelimit.decision import Limiter
from falconkit.ratelimit.keys import KeyOf
from falconkit.shedding.priority import PriorityOf
from falconkit.tracing import Tracer, trace


def observe_stack(
    metrics: Metrics,
    *,
    tracer: Tracer | None = None,
    redact: Iterable[str] = (),
    clock: Clock = system_clock,
) -> Middleware:
    """Log -> trace -> measure: what only watches, as for the ``observe=`` of an app.

    >>> from falconkit import layers, nop
    >>> [each.name for each in layers(observe_stack(Metrics())(nop))]
    ['log', 'measure']

    Args:
        metrics: Where calls are counted.
        tracer: Opens a span around each; without one there is no `trace`.
        redact: Names of fields that the log hides.
        clock: Whose seconds these are.

    Raises:
        ConfigurationError: Something of this cannot be used.
    """
    return chain(
        log(redact=redact, clock=clock),
        *(() if tracer is None else (trace(tracer),)),
        measure(metrics, clock=clock),
    )


def server_stack(
    metrics: Metrics,
    *,
    tracer: Tracer | None = None,
    authenticate: Middleware | None = None,
    limit: Limiter | str | None = None,
    key: KeyOf | None = None,
    shed: shedding.AdaptiveLimit | shedding.Policy | None = None,
    priority: PriorityOf | None = None,
    redact: Iterable[str] = (),
    clock: Clock = system_clock,
) -> Middleware:
    """Log -> trace -> measure -> authenticate -> limit -> shed -> deadline: around an endpoint.

    What watches stands outside, so that refusals are seen; what refuses stands in the order
    of what it costs to ask, and what refuses one caller before what refuses all.

    >>> from falconkit import layers, nop
    >>> [each.name for each in layers(server_stack(Metrics(), limit="30/minute")(nop))]
    ['log', 'measure', 'limit', 'shed', 'deadline']

    Args:
        metrics: Where calls are counted.
        tracer: Opens a span around each; without one there is no `trace`.
        authenticate: Finds out who calls; without it there is none.
        limit: A rate as ``"30/minute"``, or a limiter; without one there is no `limit`.
        key: Whose rate it is: see `falconkit.ratelimit.by_caller`. When None, all share one.
        shed: The bound on calls in flight, as for `falconkit.shedding.shed`. When None,
            each endpoint finds one of its own.
        priority: What a call is worth when not all can be served.
        redact: Names of fields that the log hides.
        clock: Whose seconds these are, and the deadlines are in.

    Raises:
        ConfigurationError: Something of this cannot be used.
    """
    return chain(
        observe_stack(metrics, tracer=tracer, redact=redact, clock=clock),
        *(() if authenticate is None else (authenticate,)),
        *_limited(limit, key),
        shedding.shed(shed, priority=priority, queue=shedding.CoDel(clock=clock), clock=clock),
        deadline(clock=clock),
    )


def _limited(limiter: Limiter | str | None, key: KeyOf | None) -> tuple[Middleware, ...]:
    if limiter is None:
        if key is not None:
            raise ConfigurationError(f"key={key!r} without a rate: give limit= as well")
        return ()
    return (ratelimit.limit(limiter, key=key),)
