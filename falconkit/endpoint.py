"""An endpoint is one RPC; a middleware is a decorator from endpoint to endpoint."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

from falconkit.context import Context
from falconkit.errors import ConfigurationError

Req = TypeVar("Req")
Res = TypeVar("Res")
M = TypeVar("M", bound="Middleware")
E = TypeVar("E", bound=Callable[..., Any])

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
            call = _dress(wrapped, next)
            # One Layer an application, so that `layers` can tell a layer's own
            # mark from one that `functools.wraps` copied to a call around it.
            call.__layer__ = Layer(name, cast(Middleware, described), observes, config)  # type: ignore[attr-defined]
            return call

        return cast(M, described)

    return decorate


def _dress(call: Endpoint[Req, Res], inner: Endpoint[Any, Any]) -> Endpoint[Req, Res]:
    if call is inner:
        return call
    try:
        # Anywhere within: a chain in a chain has wrapped `inner` more than once.
        if not any(each is inner for each in _inward(call)):
            functools.update_wrapper(call, inner, updated=())
        name = getattr(inner, "__endpoint__", None)
        if name is not None:
            call.__endpoint__ = name  # type: ignore[attr-defined]
    except AttributeError:
        raise ConfigurationError(
            f"a middleware returned {call!r}, which cannot carry the endpoint's name: "
            "return a function"
        ) from None
    return call


def chain(*middlewares: Middleware) -> Middleware:
    """Compose middlewares; the first named is the outermost, met first on the way in.

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
            endpoint = _dress(wrapped, endpoint)
        return endpoint

    return apply


def nop(ctx: Context, request: object) -> None:
    """Do nothing: an endpoint for tests and for chains that are still empty."""


def named(name: str) -> Callable[[E], E]:
    """Name an endpoint whose function's own name will not do.

    >>> @named("sum")
    ... def add(ctx: Context, v: int) -> int:
    ...     return v
    >>> name_of(add)
    'sum'

    Raises:
        ConfigurationError: The name is empty, or has characters other than
            letters, digits, ``_``, ``.`` and ``-``.
    """
    if not name or not all((c.isalnum() and c.isascii()) or c in "_.-" for c in name):
        raise ConfigurationError(
            f"an endpoint's name is made of letters, digits, '_', '.' and '-', got {name!r}"
        )

    def decorate(endpoint: E) -> E:
        @functools.wraps(endpoint)
        def call(ctx: Context, request: Any) -> Any:
            return endpoint(ctx, request)

        call.__endpoint__ = name  # type: ignore[attr-defined]
        return cast(E, call)

    return decorate


def name_of(endpoint: Callable[..., Any]) -> str:
    """Return the one name of an endpoint, which logs, metrics and spans all use.

    It is the name that `named` gave, else the innermost function's, else its class's.

    >>> name_of(nop)
    'nop'
    """
    given = getattr(endpoint, "__endpoint__", None)
    if given is not None:
        return str(given)
    *_, innermost = _inward(endpoint)
    if innermost is not endpoint:
        return name_of(innermost)
    if isinstance(innermost, functools.partial):
        return name_of(innermost.func)
    return str(getattr(innermost, "__name__", type(innermost).__name__))


def layers(endpoint: Callable[..., Any]) -> tuple[Layer, ...]:
    """Return the layers around an endpoint, the outermost first.

    They are found by ``__wrapped__``, so a chain and a stack of decorators look alike.
    """
    found: list[Layer] = []
    for call in _inward(endpoint):
        mark = getattr(call, "__layer__", None)
        if mark is not None:
            if found and found[-1] is mark:
                continue  # copied outward by somebody's functools.wraps
            found.append(mark)
    return tuple(found)


def observers(endpoint: Callable[..., Any]) -> Middleware:
    """Return the chain of those layers around ``endpoint`` that only observe."""
    return chain(*(each.apply for each in layers(endpoint) if each.observes))


def _inward(endpoint: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    seen: Callable[..., Any] | None = endpoint
    while seen is not None:
        yield seen
        seen = getattr(seen, "__wrapped__", None)
