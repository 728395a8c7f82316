"""An endpoint is one RPC; a middleware is a decorator from endpoint to endpoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from falconkit.context import Context
from falconkit.errors import ConfigurationError
from falconkit.naming import dress

Req = TypeVar("Req")
Res = TypeVar("Res")

Endpoint = Callable[[Context, Req], Res]
"""``(Context, request) -> response``, or it raises: one RPC of a server or of a client."""


class Middleware(Protocol):
    """One concern, wrapped around an endpoint.

    A Protocol whose ``__call__`` is generic, so that an endpoint keeps its
    types under ``chain`` and as a decorator; a plain ``Callable`` alias would
    lose them.
    """

    def __call__(self, next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        """Return an endpoint that does this concern's work around ``next``."""


class Failer(Protocol):
    """A response that carries a business failure.

    The call itself worked, so breakers and retries count it a success; a
    transport turns ``failed()`` into its answer (HTTP: 409, or the failure's
    own ``status``).
    """

    def failed(self) -> Exception | None:
        """Return the failure, or None when the response is a success."""


def chain(*middlewares: Middleware) -> Middleware:
    """Compose middlewares; the first named is the outermost, met first on the way in.

    >>> from falconkit.layers import layer
    >>> order: list[str] = []
    >>> def say(word: str) -> Middleware:
    ...     @layer("say", word=word)
    ...     def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
    ...         def call(ctx: Context, request: Req) -> Res:
    ...             order.append(word)
    ...             return next(ctx, request)
    ...         return call
    ...     return wrap
    >>> chain(say("outer"), say("inner"))(nop)(Context(), 1)
    >>> order
    ['outer', 'inner']

    Raises:
        ConfigurationError: One of them cannot be called. Said when the chain
            is built, never at request time.
    """
    for at, middleware in enumerate(middlewares):
        if not callable(middleware):
            raise ConfigurationError(
                f"chain() got {middleware!r} at place {at}: a middleware is a function "
                "from endpoint to endpoint; was its factory meant to be called?"
            )

    def apply(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        endpoint = next
        for at, middleware in reversed(tuple(enumerate(middlewares))):
            wrapped = middleware(endpoint)
            if not callable(wrapped):
                raise ConfigurationError(
                    f"the middleware {middleware!r} at place {at} of the chain returned "
                    f"{wrapped!r}: it must return an endpoint"
                )
            endpoint = dress(wrapped, endpoint)
        return endpoint

    return apply


def nop(ctx: Context, request: object) -> None:
    """Do nothing: an endpoint for tests and for chains that are still empty."""
