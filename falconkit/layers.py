"""What the layers around an endpoint say of themselves."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from falconkit.endpoint import Endpoint, Middleware, Req, Res, chain
from falconkit.naming import dress, inward

M = TypeVar("M", bound=Middleware)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """What one middleware says of itself: for ``/debug``, and for the transport.

    Attributes:
        name: The concern's verb: ``limit``, ``log``, ``measure``.
        apply: The middleware, so that a chain can be built again in part.
        observes: True when it only watches (log, trace, measure), so that a
            request which could not be decoded meets it too.
        config: What the factory was given, for people to read.
    """

    name: str
    apply: Middleware
    observes: bool = False
    config: dict[str, object] = field(default_factory=dict)


def layer(name: str, /, *, observes: bool = False, **config: object) -> Callable[[M], M]:
    """Decorate a middleware's ``wrap``: its result keeps name and ``__wrapped__``.

    >>> from falconkit import Context, name_of, named
    >>> def shout() -> Middleware:
    ...     @layer("shout")
    ...     def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
    ...         def call(ctx: Context, request: Req) -> Res:
    ...             return next(ctx, request)
    ...         return call
    ...     return wrap
    >>> name_of(shout()(named("greet")(lambda ctx, who: f"hi {who}")))
    'greet'

    Args:
        name: The concern's verb.
        observes: True when the middleware only watches its calls.
        **config: What to show of its configuration.
    """

    def decorate(wrap: M) -> M:
        @functools.wraps(wrap)
        def described(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
            wrapped = wrap(next)
            if wrapped is next:
                return next  # it steps aside: the endpoint must not carry its mark
            call = dress(wrapped, next)
            # One Layer an application, so that `layers` can tell a layer's own
            # mark from one that `functools.wraps` copied to a call around it.
            call.__layer__ = Layer(name, cast(Middleware, described), observes, config)  # type: ignore[attr-defined]
            return call

        return cast(M, described)

    return decorate


def layers(endpoint: Callable[..., Any]) -> tuple[Layer, ...]:
    """Return the layers around an endpoint, the outermost first.

    They are found by ``__wrapped__``, so a chain and a stack of decorators look alike.
    """
    found: list[Layer] = []
    for call in inward(endpoint):
        mark = getattr(call, "__layer__", None)
        if mark is not None:
            if found and found[-1] is mark:
                continue  # copied outward by somebody's functools.wraps
            found.append(mark)
    return tuple(found)


def observers(endpoint: Callable[..., Any]) -> Middleware:
    """Return the chain of those layers around ``endpoint`` that only observe."""
    return chain(*(each.apply for each in layers(endpoint) if each.observes))
