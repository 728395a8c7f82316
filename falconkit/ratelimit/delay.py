"""Let a call wait for its turn, within bounds, rather than refuse it."""

from __future__ import annotations

import threading
from collections.abc import Callable

from falconkit.clock import Clock, system_clock
from falconkit.context import Context
from falconkit.endpoint import Endpoint, Middleware, Req, Res
from falconkit.errors import ConfigurationError
from falconkit.events import Events
from falconkit.layers import layer
from falconkit.naming import innermost, name_of
from falconkit.ratelimit.decision import Decision, Limiter
from falconkit.ratelimit.keys import CostOf, KeyOf, asking
from falconkit.ratelimit.middleware import decider_of, news_of, pass_on

_SHORTEST = 0.001


def delay(
    limiter: Limiter | str,
    *,
    key: KeyOf | None = None,
    cost: int | CostOf = 1,
    scope: str | None = None,
    max_wait: float = 1.0,
    max_waiters: int = 2,
    clock: Clock = system_clock,
    events: Events | None = None,
) -> Middleware:
    """Let a call that is over the rate wait until it would pass, and refuse it when it cannot.

    Nothing is reserved: a call takes its tokens when it goes on, so one that
    gives up has taken none. Of several that wait for one bucket, the first to
    ask once a token is there has it; the others wait on, within their bounds.

    >>> from falconkit.ratelimit import TokenBucket
    >>> from falconkit.testing import ManualClock
    >>> clock = ManualClock()
    >>> bucket = TokenBucket("2/second", burst=1, storage="memory://", clock=clock)
    >>> @delay(bucket, clock=clock)
    ... def greet(ctx: Context, who: str) -> str:
    ...     return f"hi {who}"
    >>> greet(Context(), "ann"), greet(Context(), "bob")
    ('hi ann', 'hi bob')
    >>> clock.slept
    [0.5]

    Args:
        limiter: What decides, as for `limit`.
        key: Whose rate it is, as for `limit`.
        cost: What a call takes, as for `limit`.
        scope: Endpoints of one scope share their buckets; the endpoint's name when None.
        max_wait: Seconds that a call waits in all; less when its deadline is nearer.
        max_waiters: Calls that may wait at a time in this process, those of all
            endpoints under this middleware together: each holds one of the
            server's threads. Half of them at most leaves the rest to others.
        clock: Whose seconds these are.
        events: Who hears that the limiter fell back; the call's own listeners when None.

    Raises:
        ConfigurationError: Now, when the rate, the cost or a bound cannot be used.
        RateLimited: At a call that would wait longer than it may, or beside
            too many: at once, not after the wait.
    """
    bounds = _Waiting(max_wait, max_waiters, clock)
    decider = decider_of(limiter, cost)
    news = news_of(decider)

    @layer(
        "delay",
        limiter=decider,
        key=key,
        scope=scope,
        max_wait=max_wait,
        max_waiters=max_waiters,
    )
    def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        ask = asking(decider, scope or name_of(next), key, cost)
        endpoint = innermost(next)

        def call(ctx: Context, request: Req) -> Res:
            decision = ask(ctx, request)
            if not decision.allowed:
                decision = bounds.wait(decision, lambda: ask(ctx, request), ctx.deadline)
            ctx.notes.leave(decision, endpoint)
            if news:
                pass_on(news, events or ctx.events)
            if not decision.allowed:
                raise decision.refusal()
            return next(ctx, request)

        return call

    return wrap


class _Waiting:
    """The bounds on waiting, shared by all calls of one middleware."""

    def __init__(self, max_wait: float, max_waiters: int, clock: Clock) -> None:
        if not 0 < max_wait < float("inf"):
            raise ConfigurationError(f"max_wait is {max_wait!r}: give seconds, more than 0")
        if isinstance(max_waiters, bool) or not isinstance(max_waiters, int) or max_waiters < 1:
            raise ConfigurationError(
                f"max_waiters is {max_waiters!r}: give a whole number, 1 or more"
            )
        self._max_wait = max_wait
        self._clock = clock
        self._room = threading.BoundedSemaphore(max_waiters)

    def wait(
        self, decision: Decision, ask: Callable[[], Decision], deadline: float | None
    ) -> Decision:
        """Ask again when it is time, until a call is allowed or may wait no longer."""
        if not self._room.acquire(blocking=False):
            return decision
        try:
            end = self._clock.monotonic() + self._max_wait
            if deadline is not None:
                end = min(end, deadline)
            while not decision.allowed and decision.retry_after is not None:
                pause = max(decision.retry_after, _SHORTEST)
                if self._clock.monotonic() + pause > end:
                    break
                self._clock.sleep(pause)
                decision = ask()
            return decision
        finally:
            self._room.release()
