"""A second try beside a first that is slow; whichever answers first is taken."""

from __future__ import annotations

from falconkit.clock import Clock, system_clock
from falconkit.context import ATTEMPT, Context
from falconkit.endpoint import Endpoint, Middleware, Req, Res
from falconkit.errors import ConfigurationError
from falconkit.events import Events
from falconkit.layers import layer
from falconkit.retry.budget import Budget, check_budget, deposit_of
from falconkit.retry.latency import Latency
from falconkit.retry.race import Race
from falconkit.retry.repeat import check_told, repeatable_of, said
from falconkit.retry.threads import Threads


def hedge(
    threads: Threads,
    *,
    quantile: float = 0.95,
    warm_up: int = 20,
    at_least: float = 0.001,
    budget: Budget | None = None,
    idempotent: bool | None = None,
    clock: Clock = system_clock,
    events: Events | None = None,
) -> Middleware:
    """Send a second try when the first is slower than most, and take what answers first.

    For calls that may be repeated and whose few slow ones cost their callers most (Dean and
    Barroso, "The Tail at Scale", CACM 2013). What loses is not stopped, which a thread cannot
    be; its answer is dropped, its failure told. When both fail, what is raised is a
    `RetriesExhausted` too. Calls run in ``threads``; without a free one, in the caller's own
    and unhedged. A call that may not be repeated passes by, and so does a further try of a `retry`.

    >>> threads = Threads(4)
    >>> @hedge(threads, idempotent=True)
    ... def user(ctx: Context, id: int) -> str:
    ...     return f"user {id}"
    >>> user(Context(), 7)
    'user 7'
    >>> threads.close()

    Args:
        threads: Where calls run; closed by who made it.
        quantile: The part of the last calls than which the first must be slower.
        warm_up: Calls that are seen before any is hedged.
        at_least: Seconds that the first is given in any case.
        budget: As for `retry`, and to be shared with it: a second try takes one.
        idempotent: As for `retry`.
        clock: Whose seconds calls take.
        events: Who hears of second tries and of those that failed; the call's
            own listeners when None.

    Raises:
        ConfigurationError: Now, when one of them cannot be used.
    """
    check_budget(budget)
    check_told(idempotent)
    _check(threads, quantile, warm_up, at_least)

    @layer(
        "hedge", threads=repr(threads), quantile=quantile, budget=repr(budget) if budget else None
    )
    def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        known = said(next, idempotent)
        if known is False:
            return next
        own = Budget(clock=clock) if budget is None else budget
        deposit, repeatable = deposit_of(next, own), repeatable_of(known)
        latency = Latency(quantile, least=warm_up)
        race = Race(next, threads, own, latency, at_least, clock, events)

        def call(ctx: Context, request: Req) -> Res:
            if ctx.get(ATTEMPT) is not None or not repeatable(ctx):
                return next(ctx, request)
            deposit()
            return race.run(ctx, request)

        call.__budget__ = own  # type: ignore[attr-defined]
        return call

    return wrap


def _check(threads: Threads, quantile: float, warm_up: int, at_least: float) -> None:
    if not isinstance(threads, Threads):
        raise ConfigurationError(f"hedge({threads!r}): give the Threads that calls run in")
    if not 0 < quantile < 1:
        raise ConfigurationError(f"quantile is {quantile!r}: give a number between 0 and 1")
    if isinstance(warm_up, bool) or not isinstance(warm_up, int) or not 1 <= warm_up <= 256:
        raise ConfigurationError(f"warm_up is {warm_up!r}: give a whole number from 1 to 256")
    if not 0 <= at_least <= 3600:
        raise ConfigurationError(f"at_least is {at_least!r}: give seconds from 0 to 3600")
