"""The laws of middlewares, as a suite that anybody's middleware can be put through."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from falconkit.context import Context
from falconkit.endpoint import Middleware
from falconkit.testing.middleware_laws import LAWS, Subject

__all__ = ["LAWS", "Subject", "conform_middleware"]


def conform_middleware(
    factory: Callable[[], Middleware],
    *,
    request: Callable[[], Any] | None = None,
    context: Callable[[], Context] | None = None,
    once: bool = True,
    counted: Callable[[], float] | None = None,
    misconfigured: Iterable[Callable[[], object]] = (),
) -> None:
    """Put a middleware through every law; see `LAWS` to run them one by one.

    >>> from falconkit.endpoint import Endpoint, Req, Res
    >>> from falconkit.layers import layer
    >>> def quiet() -> Middleware:
    ...     @layer("quiet")
    ...     def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
    ...         def call(ctx: Context, request: Req) -> Res:
    ...             return next(ctx, request)
    ...         return call
    ...     return wrap
    >>> conform_middleware(quiet)

    Args:
        factory: Makes a new middleware at each call, one that lets hundreds of calls through.
        request: Makes a request that the middleware takes.
        context: Makes the context of a call.
        once: False for a concern that is about calling the inner endpoint
            otherwise than once: a retry, a cache.
        counted: How many calls the middlewares of ``factory`` have counted so far.
        misconfigured: Each must raise `ConfigurationError` when it is called.

    Raises:
        AssertionError: A law is broken; the message says which, and how.
    """
    given = {"request": request, "context": context}
    subject = Subject(
        factory,
        once=once,
        counted=counted,
        misconfigured=tuple(misconfigured),
        **{name: value for name, value in given.items() if value is not None},
    )
    for law in LAWS:
        law(subject)
