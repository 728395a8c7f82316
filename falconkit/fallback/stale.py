"""Answer what was answered last, and say how old it is."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, cast

from falconkit.context import Context
from falconkit.endpoint import Endpoint, Middleware, Req, Res
from falconkit.errors import ConfigurationError
from falconkit.events import Events, FellBack
from falconkit.fallback.lastgood import LastGood, Stale
from falconkit.fallback.outage import When, check_when, is_outage
from falconkit.layers import layer
from falconkit.naming import name_of


def fallback_stale(
    last: LastGood | None = None,
    *,
    key: Callable[[Context, Any], Hashable],
    when: When = is_outage,
    events: Events | None = None,
) -> Middleware:
    """Answer the last good answer to the same question, when there is one, and note its age.

    The age is left in the context's notes as a `Stale`. Business failures (what a
    response's ``failed()`` returns) and streams are not kept.

    >>> from falconkit.errors import UpstreamUnavailable
    >>> from falconkit.testing import Script
    >>> rates = fallback_stale(key=lambda ctx, currency: currency)(
    ...     Script(1.25, UpstreamUnavailable("away"), UpstreamUnavailable("away"))
    ... )
    >>> rates(Context(), "USD"), rates(Context(), "USD")
    (1.25, 1.25)
    >>> rates(Context(), "SEK")
    Traceback (most recent call last):
    falconkit.errors.UpstreamUnavailable: away

    Args:
        last: Where answers are kept, see its bounds; each endpoint has one of its own when None.
        key: Names the question, from the context and the request: all that the answer
            depends on, and who may see it.
        when: On which errors, as for `fallback`.
        events: Who hears of it; the call's own listeners when None.

    Raises:
        ConfigurationError: Now, when ``key`` or ``when`` is no function.
    """
    check_when(when)
    if not callable(key):
        raise ConfigurationError(
            f"key is {key!r}: give a function (ctx, request) -> what names the question"
        )

    @layer("fallback", to="stale", last=repr(last))
    def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        name = name_of(next)
        answers = LastGood() if last is None else last
        keep, find = answers.keep, answers.find

        def call(ctx: Context, request: Req) -> Res:
            question = (name, key(ctx, request))
            try:
                answer = next(ctx, request)
            except Exception as error:
                found = find(question) if when(error) else None
                if found is None:
                    raise
                ctx.notes.leave(Stale(found[1]))
                (events or ctx.events).tell(FellBack(name, "stale", type(error).__name__))
                return cast(Res, found[0])
            if is_good(answer):
                keep(question, answer)
            return answer

        return call

    return wrap


def is_good(answer: object) -> bool:
    """Tell whether an answer can be given again: no business failure, no stream.

    What a transport wraps an answer in, for headers of its own, has it as ``value``.

    >>> is_good({"v": 1}), is_good(None), is_good(iter([1]))
    (True, True, False)
    """
    for each in (answer, getattr(answer, "value", None)):
        if hasattr(type(each), "__next__"):
            return False
        failed = getattr(each, "failed", None)
        if callable(failed) and failed() is not None:
            return False
    return True
