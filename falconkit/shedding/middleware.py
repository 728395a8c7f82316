"""Refuse what is more than the service can do well, the least worthy first."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

from falconkit.clock import Clock, system_clock
from falconkit.context import Context
from falconkit.endpoint import Endpoint, Middleware, Req, Res
from falconkit.errors import ConfigurationError
from falconkit.events import Events
from falconkit.layers import layer
from falconkit.naming import name_of
from falconkit.shedding.adaptive import AdaptiveLimit
from falconkit.shedding.codel import CoDel
from falconkit.shedding.gate import Gate, Terms
from falconkit.shedding.policy import Policy
from falconkit.shedding.priority import SHARES, Priority, PriorityOf, checked


def shed(
    limit: AdaptiveLimit | Policy | None = None,
    *,
    priority: PriorityOf | None = None,
    shares: Mapping[Priority, float] = SHARES,
    queue: CoDel | None = None,
    retry_after: float = 1.0,
    clock: Clock = system_clock,
    events: Events | None = None,
    rng: Callable[[float, float], float] = random.uniform,
) -> Middleware:
    """Refuse calls at once while more are in flight than go well, under a bound that finds itself.

    It stands inside what observes and what asks who calls, and outside of what costs.

    >>> from falconkit.shedding import Gradient2
    >>> limit = AdaptiveLimit(Gradient2(initial=2))
    >>> def paying(ctx: Context, request: object) -> Priority:
    ...     return Priority.CRITICAL if ctx.caller == "ann" else Priority.NORMAL
    >>> @shed(limit, priority=paying)
    ... def outer(ctx: Context, caller: str) -> str:
    ...     return inner(Context(caller=caller), caller)
    >>> @shed(limit, priority=paying)
    ... def inner(ctx: Context, caller: str) -> str:
    ...     return f"hi {caller}"
    >>> outer(Context(), "ann")
    'hi ann'
    >>> outer(Context(), "bob")
    Traceback (most recent call last):
    falconkit.errors.Overloaded: overloaded

    Args:
        limit: The bound. A policy, or None for a `Gradient2`, gives each endpoint
            a bound of its own; endpoints that are given one `AdaptiveLimit` share it.
        priority: What a call is worth, from the context and the request. When None, all
            are worth the same, and the whole bound is theirs.
        shares: Up to which part of the bound each priority is let in.
        queue: What waited too long in the router's queue is refused as well, before
            it takes a place. Seen only where the router tells: see `QUEUE_TIME`.
        retry_after: Seconds that the refused are told to stay away, give or take
            a half by chance, so that they do not all come back at one moment.
        clock: Whose seconds the bounds count in that are made here.
        events: Who hears that shedding started or stopped; the call's own listeners when None.
        rng: ``(low, high) -> number``, the chance in ``retry_after``.

    Raises:
        ConfigurationError: Now, when something cannot be used.
        Overloaded: At a call that is too many, or comes too late.
    """
    if priority is not None and not callable(priority):
        raise ConfigurationError(f"priority is {priority!r}: give a function (ctx, request)")
    given = limit if isinstance(limit, AdaptiveLimit) else AdaptiveLimit(limit, clock=clock)
    terms = Terms(priority, checked(shares), queue, retry_after, events, rng)

    @layer("shed", limit=repr(given), queue=repr(queue), retry_after=retry_after)
    def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        bound = given if given is limit else AdaptiveLimit(given.policy, clock=clock)
        gate = Gate(name_of(next), bound, terms)
        admit, leave, now = gate.admit, bound.leave, bound.clock.monotonic

        def call(ctx: Context, request: Req) -> Res:
            admit(ctx, request)
            started = now()
            try:
                result = next(ctx, request)
            except BaseException as error:
                leave(started, now(), error)
                raise
            leave(started, now())
            return result

        return call

    return wrap
