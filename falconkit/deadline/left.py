"""How much of a call's time is left: for code that computes, and may look up as it goes."""

from __future__ import annotations

from falconkit.clock import Clock, system_clock
from falconkit.context import Context
from falconkit.errors import DeadlineExceeded

LONGEST = 86_400.0
"""Seconds that a `timeout` may give."""


def seconds_left(ctx: Context, *, clock: Clock = system_clock) -> float | None:
    """Return the seconds until nobody waits any longer: 0.0 from then on, None for ever.

    For drivers that take a timeout of their own.

    >>> from falconkit.testing import ManualClock
    >>> clock = ManualClock(monotonic=100.0)
    >>> seconds_left(Context(deadline=100.5), clock=clock)
    0.5
    """
    if ctx.deadline is None:
        return None
    return max(0.0, ctx.deadline - clock.monotonic())


def check(ctx: Context, *, clock: Clock = system_clock) -> None:
    """Raise when the call's time is over: for a loop that computes, at each turn of it.

    >>> from falconkit.testing import ManualClock
    >>> check(Context(deadline=99.0), clock=ManualClock(monotonic=100.0))
    Traceback (most recent call last):
    falconkit.errors.DeadlineExceeded: deadline exceeded

    Raises:
        DeadlineExceeded: It is.
    """
    if ctx.deadline is not None and ctx.deadline <= clock.monotonic():
        raise DeadlineExceeded
