"""Refuse a call when its key is over the rate."""

from __future__ import annotations

from collections import deque

from falconkit.context import Context
from falconkit.endpoint import Endpoint, Middleware, Req, Res
from falconkit.events import Event, Events
from falconkit.layers import layer
from falconkit.naming import innermost, name_of
from falconkit.ratelimit.bucket import TokenBucket
from falconkit.ratelimit.decision import Limiter
from falconkit.ratelimit.keys import CostOf, KeyOf, asking, check_cost


def limit(
    limiter: Limiter | str,
    *,
    key: KeyOf | None = None,
    cost: int | CostOf = 1,
    scope: str | None = None,
    events: Events | None = None,
) -> Middleware:
    """Refuse what ``limiter`` refuses. It stands inside what observes, so that refusals are seen.

    The decision is left in the context's notes, whether the call goes on or not.

    >>> @limit(TokenBucket("1/hour", storage="memory://"), key=lambda ctx, _: ctx.caller)
    ... def greet(ctx: Context, who: str) -> str:
    ...     return f"hi {who}"
    >>> greet(Context(caller="ann"), "bob")
    'hi bob'
    >>> greet(Context(caller="ann"), "bob")
    Traceback (most recent call last):
    falconkit.errors.RateLimited: rate limit exceeded

    Args:
        limiter: What decides. A rate, as in ``"30/minute"``, is a `TokenBucket`
            on the default arena.
        key: Whose rate it is, from the context and the request: see `by_caller`.
            When None, all callers share one.
        cost: What a call takes, or a function of the context and the request.
        scope: Endpoints of one scope share their buckets; the endpoint's name when None.
        events: Who hears that the limiter fell back; the call's own listeners when None.

    Raises:
        ConfigurationError: Now, when the rate or the cost cannot be used.
        RateLimited: At a call over the rate; ``retry_after`` says when to come again.
    """
    decider = decider_of(limiter, cost)
    news = news_of(decider)

    @layer("limit", limiter=decider, key=key, scope=scope)
    def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        ask = asking(decider, scope or name_of(next), key, cost)
        endpoint = innermost(next)

        def call(ctx: Context, request: Req) -> Res:
            decision = ask(ctx, request)
            ctx.notes.leave(decision, endpoint)
            if news:
                pass_on(news, events or ctx.events)
            if not decision.allowed:
                raise decision.refusal()
            return next(ctx, request)

        return call

    return wrap


def decider_of(limiter: Limiter | str, cost: int | CostOf) -> Limiter:
    """Return the limiter, made from a rate if need be, once the cost is known to fit it.

    Raises:
        ConfigurationError: The rate or the cost cannot be used.
    """
    decider: Limiter = TokenBucket(limiter) if isinstance(limiter, str) else limiter
    check_cost(decider, cost)
    return decider


def news_of(limiter: Limiter) -> deque[Event]:
    """Return the queue of what a limiter has to tell, one that stays empty when it has none."""
    carry = getattr(limiter, "carry", None)
    news: deque[Event] | None = carry() if carry is not None else None
    return deque(maxlen=0) if news is None else news


def pass_on(news: deque[Event], events: Events) -> None:
    """Tell what waits in ``news``, each once, though several threads may be here."""
    while news:
        try:
            event = news.popleft()
        except IndexError:
            return
        events.tell(event)
