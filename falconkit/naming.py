"""An endpoint has one name, which every layer around it carries outward."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any, TypeVar, cast

from falconkit.context import Context
from falconkit.errors import ConfigurationError

E = TypeVar("E", bound=Callable[..., Any])


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

    >>> from falconkit import nop
    >>> name_of(nop)
    'nop'
    """
    given = getattr(endpoint, "__endpoint__", None)
    if given is not None:
        return str(given)
    inner = innermost(endpoint)
    if inner is not endpoint:
        return name_of(inner)
    if isinstance(inner, functools.partial):
        return name_of(inner.func)
    return str(getattr(inner, "__name__", type(inner).__name__))


def dress(call: E, inner: Callable[..., Any]) -> E:
    """Give ``call`` the name of the endpoint ``inner`` that it is wrapped around.

    Raises:
        ConfigurationError: It cannot carry a name.
    """
    if call is inner:
        return call
    try:
        # Anywhere within: a chain in a chain has wrapped `inner` more than once.
        if not any(each is inner for each in inward(call)):
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


def innermost(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """Return what all is wrapped around: the same object for every layer of an endpoint.

    >>> from falconkit import nop
    >>> innermost(named("idle")(nop)) is nop
    True
    """
    *_, found = inward(endpoint)
    return found


def inward(endpoint: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """Yield an endpoint and what is wrapped in it, from the outside in, by ``__wrapped__``."""
    seen: Callable[..., Any] | None = endpoint
    while seen is not None:
        yield seen
        seen = getattr(seen, "__wrapped__", None)
