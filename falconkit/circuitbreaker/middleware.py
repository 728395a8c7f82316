"""Refuse calls to what is known to be down."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from falconkit.circuitbreaker.breaker import CircuitBreaker
from falconkit.circuitbreaker.cell import GATE, QUIET
from falconkit.circuitbreaker.machine import Ticket
from falconkit.context import Context
from falconkit.endpoint import Endpoint, Middleware, Req, Res
from falconkit.errors import ConfigurationError
from falconkit.layers import layer
from falconkit.naming import name_of


def guard(breaker: CircuitBreaker | Callable[[str], CircuitBreaker] = CircuitBreaker) -> Middleware:
    """Refuse a call while its breaker is open, and tell the breaker how the others end.

    Place it inside of retry and of what observes, outside of the timeout of one try.
    Results and errors pass as they are.

    >>> from falconkit.errors import UpstreamTimeout
    >>> breaker = CircuitBreaker("billing", failures_in_a_row=1, shared=False)
    >>> @guard(breaker)
    ... def charge(ctx: Context, cents: int) -> int:
    ...     raise UpstreamTimeout("billing did not answer in 1 s", upstream="billing")
    >>> charge(Context(), 5)
    Traceback (most recent call last):
    falconkit.errors.UpstreamTimeout: billing did not answer in 1 s
    >>> charge(Context(), 5)
    Traceback (most recent call last):
    falconkit.errors.CircuitOpen: circuit breaker is open

    Args:
        breaker: The breaker of all endpoints under this middleware, or what makes
            one from an endpoint's name, so that each has its own: `CircuitBreaker`
            with its defaults, or ``functools.partial(CircuitBreaker, wait=1.0)``.

    Raises:
        ConfigurationError: Now, when ``breaker`` is neither.
        CircuitOpen: At a call that is refused; ``retry_after`` says when to come again.
    """
    if not isinstance(breaker, CircuitBreaker) and not _takes_a_name(breaker):
        raise ConfigurationError(
            "guard() takes a CircuitBreaker, or a function from a name to one, got "
            f"{breaker!r}: an endpoint is wrapped by @guard(), with parentheses"
        )

    def choose(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        chosen = breaker if isinstance(breaker, CircuitBreaker) else breaker(name_of(next))
        if not isinstance(chosen, CircuitBreaker):
            raise ConfigurationError(
                f"guard() asked {breaker!r} for the breaker of {name_of(next)!r}, got {chosen!r}"
            )
        return _guarded(chosen)(next)

    return choose


def _takes_a_name(make: object) -> bool:
    if not callable(make):
        return False
    try:
        inspect.signature(make).bind("name")
    except TypeError:
        return False
    except ValueError:  # it does not say what it takes
        return True
    return True


def _guarded(breaker: CircuitBreaker) -> Middleware:
    gate = breaker.gate
    record, now, slow_after = gate.record, gate.now, gate.slow_after
    judge = gate.judge if gate.judges_answers else None

    @layer("guard", breaker=breaker)
    def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        def call(ctx: Context, request: Req) -> Res:
            # PERF: 0.6 us when all is well, of which the two readings of the clock are 0.1.
            # A refusal costs 3 us with its exception, a failure 25 us with the lock.
            ticket: Ticket = gate.known
            cells = record.cells or record.opened()
            if cells[GATE] != ticket:
                ticket = gate.enter(ctx.events)
            began = now()
            try:
                result = next(ctx, request)
            except BaseException as error:
                gate.leave(ctx.events, ticket, gate.judge(error), began)
                raise
            ended = now()
            failed = False if judge is None else judge(result)
            if (
                cells[GATE] == ticket
                and ended < cells[QUIET]
                and ended - began <= slow_after
                and failed is False
                and record.mine
            ):
                # One step for threads, without a lock: see falconkit.arena.series.
                cells[record.mine] += 1.0
            else:
                gate.leave(ctx.events, ticket, failed, began)
            return result

        return call

    return wrap
