"""Give a call so much time, and refuse it when its time is over.

Python cannot interrupt a thread that computes, nor does a deadline: it is
kept by whoever waits (a client's sockets, a retry, a limiter's `delay`), by whoever
is called next, and by code that asks `check` as it goes.
"""

from __future__ import annotations

from falconkit.clock import Clock, system_clock
from falconkit.context import Context
from falconkit.deadline.left import LONGEST
from falconkit.endpoint import Endpoint, Middleware, Req, Res
from falconkit.errors import ConfigurationError, DeadlineExceeded
from falconkit.layers import layer
from falconkit.naming import name_of


def timeout(seconds: float, *, clock: Clock = system_clock) -> Middleware:
    """Give a call ``seconds`` at most, and refuse it at once when its time is over already.

    It makes ``ctx.deadline`` sooner, never later. Outside of a `retry` it is the time
    of all tries, inside the time of each. A call that ends late returns what it returns.

    >>> from falconkit.testing import ManualClock
    >>> clock = ManualClock(monotonic=100.0)
    >>> @timeout(2.0, clock=clock)
    ... def ask(ctx: Context, request: str) -> float | None:
    ...     return ctx.deadline
    >>> ask(Context(), "how long?"), ask(Context(deadline=101.0), "how long?")
    (102.0, 101.0)
    >>> ask(Context(deadline=99.0), "how long?")
    Traceback (most recent call last):
    falconkit.errors.DeadlineExceeded: deadline exceeded: ask was not called

    Args:
        seconds: How long a call may take.
        clock: Whose seconds these are, and ``ctx.deadline`` is in.

    Raises:
        ConfigurationError: Now, when ``seconds`` is not over 0, up to a day.
        DeadlineExceeded: At a call whose time is over; nothing was run.
    """
    if not 0 < seconds <= LONGEST:
        raise ConfigurationError(f"timeout({seconds!r}): give seconds, over 0, up to {LONGEST:.0f}")
    now = clock.monotonic

    @layer("timeout", seconds=seconds)
    def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        name = name_of(next)

        def call(ctx: Context, request: Req) -> Res:
            # PERF: 0.28 us, of which the context's copy is 0.18; 0.11 when it
            # has a sooner deadline. The current context, for log lines, stays: no id differs.
            given = ctx.deadline
            started = now()
            end = started + seconds
            if given is None or given > end:
                return next(ctx.until(end), request)
            if given <= started:
                raise DeadlineExceeded(f"deadline exceeded: {name} was not called")
            return next(ctx, request)

        return call

    return wrap


def deadline(*, clock: Clock = system_clock) -> Middleware:
    """Refuse a call whose time is over, and give it no time of its own.

    For a server: its request comes with a deadline that the caller, or the platform's
    router, has set. Place it inside of what observes and next to the endpoint.

    >>> from falconkit import nop
    >>> from falconkit.testing import ManualClock
    >>> call = deadline(clock=ManualClock(monotonic=100.0))(nop)
    >>> call(Context(deadline=100.5), 1)
    >>> call(Context(deadline=100.0), 1)
    Traceback (most recent call last):
    falconkit.errors.DeadlineExceeded: deadline exceeded: nop was not called

    Args:
        clock: Whose seconds ``ctx.deadline`` is in.

    Raises:
        DeadlineExceeded: At a call whose time is over; nothing was run.
    """
    now = clock.monotonic

    @layer("deadline")
    def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        name = name_of(next)

        def call(ctx: Context, request: Req) -> Res:
            # PERF: 0.06 us without a deadline, 0.11 with one.
            end = ctx.deadline
            if end is not None and end <= now():
                raise DeadlineExceeded(f"deadline exceeded: {name} was not called")
            return next(ctx, request)

        return call

    return wrap
