"""Make one call of those that ask the same at the same time."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable
from threading import Event
from typing import Any, cast

from falconkit.clock import Clock, system_clock
from falconkit.coalesce.flight import Ending, Flight, Flights, another
from falconkit.coalesce.waiting import WaitFor, Waiting
from falconkit.context import Context
from falconkit.endpoint import Endpoint, Middleware, Req, Res
from falconkit.errors import ConfigurationError
from falconkit.layers import layer


def coalesce(
    *,
    key: Callable[[Context, Any], Hashable],
    max_wait: float = 10.0,
    max_waiters: int = 64,
    retry_after: float = 1.0,
    clock: Clock = system_clock,
    rng: Callable[[float, float], float] = random.uniform,
    wait: WaitFor = Event.wait,
) -> Middleware:
    """Let a call whose like is in flight wait for that one's answer, and have it too.

    For reads alone: of ten equal writes one would be made. Nothing is kept once
    a call has ended. The answer is one object for all, which nobody may change.

    >>> @coalesce(key=lambda ctx, user: user)
    ... def profile(ctx: Context, user: str) -> str:
    ...     return f"the profile of {user}"
    >>> profile(Context(), "ann")
    'the profile of ann'

    When the call fails, those that waited get an error of the same class and
    data, caused by the one that it raised. When its thread was told to end
    (``SystemExit``), or it ran out of a deadline that is nearer than theirs, one of
    those that wait makes the call anew. A stream is for one reader, so they
    then call for themselves.

    Args:
        key: Names the question, from the context and the request: all that the answer
            depends on, and who may see it.
        max_wait: Seconds that a call waits in all; less when its deadline is nearer.
        max_waiters: Calls that may wait at a time in this process, those of all endpoints
            under this middleware together. Each holds a thread, as if it made the call.
        retry_after: Seconds that the refused are told to stay away, give or take a half.
        clock: Whose seconds these are.
        rng: ``(low, high) -> number``, the chance in ``retry_after``.
        wait: How to wait for an event for so many seconds; a test may put its own.

    Raises:
        ConfigurationError: Now, when ``key`` is no function or a bound cannot be used.
        DeadlineExceeded: At a call whose deadline was over before the answer was there.
        Overloaded: At a call that would be one too many to wait, or has waited ``max_wait``.
    """
    if not callable(key):
        raise ConfigurationError(
            f"key is {key!r}: give a function (ctx, request) -> what names the question"
        )
    waiting = Waiting(max_wait, max_waiters, retry_after, clock, rng, wait)

    @layer("coalesce", max_wait=max_wait, max_waiters=max_waiters)
    def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        flights = Flights()

        def call(ctx: Context, request: Req) -> Res:
            question = key(ctx, request)
            end: float | None = None
            while True:
                flight, landed = flights.board(question, ctx.deadline)
                if landed is None:
                    try:
                        return make(next, ctx, request, flight)
                    finally:
                        flights.land(question, flight)
                if end is None:
                    end = waiting.end()
                waiting.wait(landed, end, ctx.deadline)
                if flight.ending is Ending.UNSHARABLE:
                    return next(ctx, request)
                if flight.is_for(ctx.deadline):
                    return cast(Res, shared(flight, ctx))

        return call

    return wrap


def make(next: Endpoint[Req, Res], ctx: Context, request: Req, flight: Flight) -> Res:
    """Make the call, and write down how it ended."""
    before = len(ctx.notes)
    try:
        answer = next(ctx, request)
    except Exception as error:
        flight.ending, flight.error = Ending.FAILED, error
        raise
    if is_stream(answer):
        flight.ending = Ending.UNSHARABLE
    else:
        flight.ending, flight.answer = Ending.ANSWERED, answer
    if len(ctx.notes) > before:
        flight.notes = ctx.notes.after(before)
    return answer


def is_stream(answer: object) -> bool:
    """Tell whether an answer can be read once only.

    What a transport wraps an answer in, for headers of its own, has it as ``value``.
    """
    inside = getattr(answer, "value", None)
    return hasattr(type(answer), "__next__") or hasattr(type(inside), "__next__")


def shared(flight: Flight, ctx: Context) -> object:
    """Return the answer of somebody else's call, with its notes, or raise as it did."""
    ctx.notes.add(flight.notes)
    if flight.error is not None:
        raise another(flight.error)
    return flight.answer
