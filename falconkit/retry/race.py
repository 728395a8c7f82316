"""Two tries of one call at a time, of which the first to answer counts."""

from __future__ import annotations

from concurrent.futures import Future, as_completed, wait
from contextvars import copy_context
from functools import partial
from typing import Any, Generic

from falconkit.clock import Clock
from falconkit.context import ATTEMPT, Context, current
from falconkit.endpoint import Endpoint, Req, Res
from falconkit.errors import RetriesExhausted
from falconkit.events import Events, HedgeSent, RetriesGaveUp, TryFailed
from falconkit.naming import name_of
from falconkit.retry.budget import Budget
from falconkit.retry.latency import Latency
from falconkit.retry.threads import Threads


class Race(Generic[Req, Res]):
    """Runs one endpoint's calls, with a second try beside a slow first."""

    def __init__(
        self,
        next: Endpoint[Req, Res],
        threads: Threads,
        budget: Budget,
        latency: Latency,
        at_least: float,
        clock: Clock,
        events: Events | None,
    ) -> None:
        self._next = next
        self._name = name_of(next)
        self._threads = threads
        self._budget = budget
        self._latency = latency
        self._at_least = at_least
        self._now = clock.monotonic
        self._events = events

    def run(self, ctx: Context, request: Req) -> Res:
        """Return what the first try gives, or the second when that is sooner.

        Raises:
            RetriesExhausted: Both failed. Of a single try, what it raised.
        """
        # PERF: 110 us more than the call itself, for the way to a thread and back;
        # 0.9 us while it warms up.
        slow = self._latency.slow
        first = None if slow is None else self._start(ctx, request)
        if slow is None or first is None:
            return self._timed(ctx, request)
        wait((first,), max(slow, self._at_least))
        second = None if first.done() else self._second(ctx, request)
        return first.result() if second is None else self._sooner(ctx, first, second)

    def _second(self, ctx: Context, request: Req) -> Future[Res] | None:
        if ctx.deadline is not None and self._now() >= ctx.deadline:
            return None
        if not self._budget.withdraw():
            return None
        return self._start(ctx.having(ATTEMPT, 2), request)

    def _start(self, ctx: Context, request: Req) -> Future[Res] | None:
        # A copy for each: a context of contextvars can be in use in one thread only.
        carried = copy_context()
        carried.run(current.set, ctx)
        return self._threads.start(lambda: carried.run(self._timed, ctx, request))

    def _timed(self, ctx: Context, request: Req) -> Res:
        started = self._now()
        result = self._next(ctx, request)
        self._latency.add(self._now() - started)
        return result

    def _sooner(self, ctx: Context, first: Future[Res], second: Future[Res]) -> Res:
        events = self._events or ctx.events
        events.tell(HedgeSent(self._name))
        for attempt, future in enumerate((first, second), 1):
            # Told whenever it ends: the loser has nobody else to tell of its failure.
            future.add_done_callback(partial(_tell, events, self._name, attempt))
        failures: list[Exception] = []
        for future in as_completed((first, second)):
            error = future.exception()
            if not isinstance(error, Exception):
                return future.result()
            failures.append(error)
        events.tell(RetriesGaveUp(self._name, 2, "hedged"))
        raise RetriesExhausted.of(failures, "hedged")


def _tell(events: Events, name: str, attempt: int, future: Future[Any]) -> None:
    error = future.exception()
    if error is not None:
        events.tell(TryFailed(name, attempt, type(error).__name__))
