"""Refuse a call when as many are in flight as may be."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict, Unpack

from falconkit.bulkhead.room import Bulkhead
from falconkit.clock import Clock
from falconkit.context import Context
from falconkit.endpoint import Endpoint, Middleware, Req, Res
from falconkit.errors import ConfigurationError
from falconkit.layers import layer


class Bounds(TypedDict, total=False):
    """What `bulkhead` passes on to the `Bulkhead` of each endpoint."""

    max_wait: float
    max_waiters: int
    retry_after: float
    clock: Clock
    rng: Callable[[float, float], float]


def bulkhead(limit: int | Bulkhead, **bounds: Unpack[Bounds]) -> Middleware:
    """Let no more than ``limit`` calls of an endpoint be in flight in this process.

    It stands inside what observes, and next to what it protects: around the
    calls to one dependency, so that when that one hangs, the others do not.

    >>> from falconkit.errors import Overloaded
    >>> room = Bulkhead(1)
    >>> @bulkhead(room)
    ... def outer(ctx: Context, v: int) -> int:
    ...     return inner(ctx, v)
    >>> @bulkhead(room)
    ... def inner(ctx: Context, v: int) -> int:
    ...     return v
    >>> inner(Context(), 1)
    1
    >>> outer(Context(), 1)
    Traceback (most recent call last):
    falconkit.errors.Overloaded: overloaded

    Args:
        limit: How many. Each endpoint has so many of its own; those that are given
            the same `Bulkhead` share it.
        **bounds: ``max_wait``, ``max_waiters``, ``retry_after``: see `Bulkhead`.

    Raises:
        ConfigurationError: Now, when a number cannot be used, or bounds come
            with a `Bulkhead`, which has its own.
        Overloaded: At a call that finds no place, nor gets one in time.
    """
    room_of = _rooms(limit, bounds)

    @layer("bulkhead", limit=limit if isinstance(limit, int) else repr(limit), **bounds)
    def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        room = room_of()
        enter, leave = room.enter, room.leave

        def call(ctx: Context, request: Req) -> Res:
            enter(ctx.deadline)
            try:
                return next(ctx, request)
            finally:
                leave()

        return call

    return wrap


def _rooms(limit: int | Bulkhead, bounds: Bounds) -> Callable[[], Bulkhead]:
    if isinstance(limit, Bulkhead):
        if bounds:
            raise ConfigurationError(
                f"{', '.join(bounds)} beside {limit!r}, which has its own: give it to the Bulkhead"
            )
        return lambda: limit
    Bulkhead(limit, **bounds)  # says now what is wrong with them
    return lambda: Bulkhead(limit, **bounds)
