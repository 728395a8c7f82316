"""Try a call again that failed, where that helps and does no harm."""

from __future__ import annotations

import random

from falconkit.clock import Clock, system_clock
from falconkit.context import ATTEMPT, Context
from falconkit.endpoint import Endpoint, Middleware, Req, Res
from falconkit.events import Events
from falconkit.layers import layer
from falconkit.naming import name_of
from falconkit.retry.again import Again, Policy
from falconkit.retry.budget import Budget, check_budget, deposit_of
from falconkit.retry.repeat import check_told, repeatable_of, said
from falconkit.retry.stop import Stop, tries
from falconkit.retry.wait import Uniform, Wait, full_jitter
from falconkit.retry.when import Condition, When, as_when, transient

_THREE = tries(3)
_SHORT = full_jitter()


def retry(
    *,
    stop: Stop = _THREE,
    wait: Wait = _SHORT,
    when: When | Condition = transient,
    budget: Budget | None = None,
    idempotent: bool | None = None,
    max_retry_after: float = 5.0,
    clock: Clock = system_clock,
    rng: Uniform = random.uniform,
    events: Events | None = None,
) -> Middleware:
    """Try a failed call again: three tries, short waits, within budget and deadline.

    An error that is not worth it at the first try comes through as it is. After that, what is
    raised is of the last try's class and a `RetriesExhausted`, which has every
    try's cause. Of several such layers one tries again, here and behind: an inner one
    steps aside in a further try of an outer one, an outer one when an inner one gave up.

    >>> from falconkit.errors import UpstreamUnavailable
    >>> from falconkit.testing import ManualClock, Script
    >>> clock = ManualClock()
    >>> away = UpstreamUnavailable("users cannot be reached", upstream="users")
    >>> retry(clock=clock, rng=max)(Script(away, away, "ann"))(Context(), 7)
    'ann'
    >>> clock.slept
    [0.025, 0.05]

    Args:
        stop: When a call has had its tries: `tries`, `seconds`, and what they combine to.
        wait: Seconds between two tries: `full_jitter` and its like. What an error asks
            for by ``retry_after`` is waited for first.
        when: Which errors are worth it: `transient`, `on`, or a function of the error.
        budget: What keeps retries few among the calls, shared by all who are given
            it. When None, each endpoint has one of its own.
        idempotent: Whether a call that may have run may run again. When None, the
            endpoint's own ``idempotent`` says, which a client has from its method; without
            one, the method of the request that we serve.
        max_retry_after: A ``retry_after`` of more seconds is not waited for.
        clock: Whose seconds these are.
        rng: ``(low, high) -> number``, where the waits' chance comes from.
        events: Who hears of failed tries; the call's own listeners when None.

    Raises:
        ConfigurationError: Now, when one of them cannot be used.
        RetriesExhausted: At a call that failed, together with its last error's class.
    """
    check_budget(budget)
    check_told(idempotent)
    policy = Policy(stop, wait, as_when(when), max_retry_after, clock, rng, events)
    now = clock.monotonic

    @layer(
        "retry",
        stop=repr(stop),
        wait=repr(wait),
        when=repr(policy.when),
        budget=repr(budget) if budget else None,
    )
    def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        own = Budget(clock=clock) if budget is None else budget
        deposit = deposit_of(next, own)
        repeatable = repeatable_of(said(next, idempotent))
        again = Again(next, name_of(next), policy, own, repeatable)
        worth, run = again.worth, again.run

        def call(ctx: Context, request: Req) -> Res:
            # PERF: 0.25 us: the look at the try's number 0.06, the deposit 0.11,
            # the clock 0.05. A `try` that nothing is raised in costs nothing.
            if ctx.get(ATTEMPT) is not None:
                return next(ctx, request)
            deposit()
            started = now()
            try:
                return next(ctx, request)
            except Exception as error:
                if not worth(ctx, error):
                    raise
                causes = [error]
            return run(ctx, request, causes, started)

        call.__budget__ = own  # type: ignore[attr-defined]
        return call

    return wrap
