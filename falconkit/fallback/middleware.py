"""Answer with something else when the call fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from falconkit.context import Context
from falconkit.endpoint import Endpoint, Middleware, Req, Res
from falconkit.errors import ConfigurationError
from falconkit.events import Events, FellBack
from falconkit.fallback.outage import When, check_when, is_outage
from falconkit.layers import layer
from falconkit.naming import name_of

Instead = Callable[[Context, Any, Exception], Any]
"""``(context, request, error) -> answer``; it may raise, the error itself for one."""


def fallback(value: object, *, when: When = is_outage, events: Events | None = None) -> Middleware:
    """Answer ``value`` when the call fails because somebody is away, late or full.

    >>> from falconkit.errors import CircuitOpen
    >>> @fallback([])
    ... def recommendations(ctx: Context, user: str) -> list[str]:
    ...     raise CircuitOpen()
    >>> recommendations(Context(), "ann")
    []

    Args:
        value: The answer: this object, each time. Nobody may change it.
        when: On which errors. ``BaseException`` that is no ``Exception`` always passes.
        events: Who hears of it; the call's own listeners when None.

    Raises:
        ConfigurationError: Now, when ``when`` is no predicate.
    """
    return _instead("value", lambda ctx, request, error: value, when, events)


def fallback_to(
    function: Instead, *, when: When = is_outage, events: Events | None = None
) -> Middleware:
    """Answer what ``function`` makes of the context, the request and the error.

    >>> from falconkit.errors import UpstreamTimeout
    >>> @fallback_to(lambda ctx, user, error: f"nothing for {user}: {error}")
    ... def recommendations(ctx: Context, user: str) -> str:
    ...     raise UpstreamTimeout("too late")
    >>> recommendations(Context(), "ann")
    'nothing for ann: too late'

    Args:
        function: ``(context, request, error) -> answer``. What it raises, the caller gets.
        when: On which errors, as for `fallback`.
        events: Who hears of it; the call's own listeners when None.

    Raises:
        ConfigurationError: Now, when ``function`` or ``when`` is no function.
    """
    if not callable(function):
        raise ConfigurationError(
            f"fallback_to() got {function!r}: give a function (ctx, request, error) -> answer, "
            "or the answer itself to fallback()"
        )
    return _instead("function", function, when, events)


def _instead(to: str, function: Instead, when: When, events: Events | None) -> Middleware:
    check_when(when)

    @layer("fallback", to=to)
    def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        name = name_of(next)

        def call(ctx: Context, request: Req) -> Res:
            try:
                return next(ctx, request)
            except Exception as error:
                if not when(error):
                    raise
                answer = function(ctx, request, error)
                (events or ctx.events).tell(FellBack(name, to, type(error).__name__))
                return cast(Res, answer)

        return call

    return wrap
