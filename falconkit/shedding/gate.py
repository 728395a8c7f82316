"""Who is let in to one endpoint, and who is told when many are not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from falconkit.context import QUEUE_TIME, Context
from falconkit.errors import ConfigurationError, Overloaded
from falconkit.events import Events, SheddingStarted, SheddingStopped
from falconkit.shedding.adaptive import AdaptiveLimit
from falconkit.shedding.codel import CoDel
from falconkit.shedding.episode import Episode
from falconkit.shedding.priority import Priority, PriorityOf, share_of


@dataclass(frozen=True, slots=True)
class Terms:
    """On what terms calls are let in: the arguments of `shed`, which describes them."""

    priority: PriorityOf | None
    shares: Mapping[Priority, float]
    queue: CoDel | None
    retry_after: float
    events: Events | None
    rng: Callable[[float, float], float]

    def __post_init__(self) -> None:
        if not 0 < self.retry_after < float("inf"):
            raise ConfigurationError(
                f"retry_after is {self.retry_after!r}: give seconds, more than 0"
            )


class Gate:
    """Lets the calls of one endpoint in, or refuses them."""

    def __init__(self, endpoint: str, bound: AdaptiveLimit, terms: Terms) -> None:
        self._endpoint = endpoint
        self._bound = bound
        self._terms = terms
        self._priority = terms.priority
        self._queue = terms.queue
        self._enter = bound.enter
        self._now = bound.clock.monotonic
        self._episode = Episode()

    def admit(self, ctx: Context, request: object) -> None:
        """Let a call in; it has to `AdaptiveLimit.leave`.

        Raises:
            Overloaded: There is no place for a call of its worth, or it waited too long.
        """
        if self._episode.running:
            self._tell_the_end(ctx)
        share, goes_last = 1.0, False
        if self._priority is not None:
            worth = self._priority(ctx, request)
            share, goes_last = share_of(self._terms.shares, worth), worth == Priority.CRITICAL
        if self._queue is not None:
            waited = ctx.get(QUEUE_TIME)
            if waited is not None:
                spare = goes_last or not self._bound.in_flight
                if self._queue.refuses(waited, spare=spare):
                    raise self._refusal(ctx, "queue")
        if not self._enter(share):
            raise self._refusal(ctx, "limit")

    def _refusal(self, ctx: Context, cause: str) -> Overloaded:
        terms = self._terms
        if self._episode.refused(self._now()):
            started = SheddingStarted(self._endpoint, cause, self._bound.limit)
            (terms.events or ctx.events).tell(started)
        return Overloaded(retry_after=terms.retry_after * terms.rng(0.5, 1.5))

    def _tell_the_end(self, ctx: Context) -> None:
        over = self._episode.ended(self._now())
        if over is not None:
            (self._terms.events or ctx.events).tell(SheddingStopped(self._endpoint, *over))
