"""The tries after the first."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic

from falconkit.clock import Clock
from falconkit.context import ATTEMPT, Context, current
from falconkit.endpoint import Endpoint, Req, Res
from falconkit.errors import ConfigurationError, RetriesExhausted
from falconkit.events import Event, Events, RetriesGaveUp, TryFailed
from falconkit.retry.budget import Budget
from falconkit.retry.repeat import Repeatable
from falconkit.retry.stop import MOST_TRIES, Stop
from falconkit.retry.wait import Uniform, Wait
from falconkit.retry.when import When


@dataclass(frozen=True, slots=True)
class Policy:
    """What `retry` was given, checked."""

    stop: Stop
    wait: Wait
    when: When
    max_retry_after: float
    clock: Clock
    uniform: Uniform
    events: Events | None

    def __post_init__(self) -> None:
        if not isinstance(self.stop, Stop):
            raise ConfigurationError(f"stop={self.stop!r}: give tries(3), seconds(2), or a Stop")
        if not isinstance(self.wait, Wait):
            raise ConfigurationError(f"wait={self.wait!r}: give full_jitter(), or another Wait")
        if not 0 <= self.max_retry_after < math.inf:
            raise ConfigurationError(
                f"max_retry_after={self.max_retry_after!r}: give seconds, 0 or more"
            )


class Again(Generic[Req, Res]):
    """Tries one endpoint's calls again."""

    __slots__ = ("_budget", "_name", "_next", "_policy", "_repeatable")

    def __init__(
        self,
        next: Endpoint[Req, Res],
        name: str,
        policy: Policy,
        budget: Budget,
        repeatable: Repeatable,
    ) -> None:
        self._next = next
        self._name = name
        self._policy = policy
        self._budget = budget
        self._repeatable = repeatable

    def worth(self, ctx: Context, error: Exception) -> bool:
        """Tell whether an error is worth a further try at all."""
        if getattr(error, "final", False) is True:
            return False
        return self._policy.when.holds(error, self._repeatable(ctx))

    def run(self, ctx: Context, request: Req, causes: list[Exception], started: float) -> Res:
        """Try until it works, and return that.

        Args:
            ctx: The call's context.
            request: Its request.
            causes: What the first try raised; emptied, lest frames and errors keep each other.
            started: When that began.

        Raises:
            RetriesExhausted: It did not work.
        """
        sleep = self._policy.clock.sleep
        try:
            while True:
                pause = self._pause(ctx, causes, started)
                self._tell(ctx, TryFailed(self._name, len(causes), type(causes[-1]).__name__))
                sleep(pause)
                further = ctx.having(ATTEMPT, len(causes) + 1)
                token = current.set(further)
                try:
                    return self._next(further, request)
                except Exception as error:
                    causes.append(error)
                finally:
                    current.reset(token)
        finally:
            causes.clear()

    def _pause(self, ctx: Context, causes: list[Exception], started: float) -> float:
        policy = self._policy
        pause = policy.wait.before(len(causes), policy.uniform)
        asked = _asked(causes[-1])
        why = ""
        if len(causes) > 1 and not self.worth(ctx, causes[-1]):
            why = "not_retryable"
        elif asked > policy.max_retry_after:
            why = "retry_after"
        else:
            # On top of what was asked: all who were refused together were asked the same.
            pause += asked
            why = self._over(ctx, len(causes), started, pause)
        if why:
            self._tell(ctx, RetriesGaveUp(self._name, len(causes), why))
            raise RetriesExhausted.of(causes, why)
        return pause

    def _over(self, ctx: Context, tries: int, started: float, pause: float) -> str:
        then = self._policy.clock.monotonic() + pause
        if tries >= MOST_TRIES or self._policy.stop.reached(tries, then - started):
            return "stopped"
        if ctx.deadline is not None and then >= ctx.deadline:
            return "deadline"
        return "" if self._budget.withdraw() else "budget"

    def _tell(self, ctx: Context, event: Event) -> None:
        (self._policy.events or ctx.events).tell(event)


def _asked(error: Exception) -> float:
    """Return the seconds that an error asks to wait, 0 when it does not."""
    asked = getattr(error, "retry_after", None)
    if isinstance(asked, bool) or not isinstance(asked, int | float):
        return 0.0
    return float(asked) if asked > 0 else 0.0
