"""What a window strategy of `limits` says, made into a decision."""

from __future__ import annotations

from typing import cast

from limits import RateLimitItem
from limits.storage import SlidingWindowCounterSupport
from limits.strategies import RateLimiter, SlidingWindowCounterRateLimiter

from falconkit.clock import Clock
from falconkit.ratelimit.decision import Decision


class Hits:
    """One strategy over one storage, for one rate."""

    def __init__(self, limiter: RateLimiter, item: RateLimitItem, name: str, clock: Clock) -> None:
        self._limiter = limiter
        self._item = item
        self._name = name
        self._clock = clock

    def take(self, key: str, cost: int) -> Decision:
        """Count ``cost`` hits for ``key``, or refuse."""
        item = self._item
        payable = cost <= item.amount
        allowed = payable and self._limiter.hit(item, key, cost=cost)
        remaining, next_in, reset_in = self._stand(key, cost)
        retry: float | None = 0.0
        if not allowed:
            retry = max(next_in, 1e-3) if payable else None
        return Decision(
            allowed, item.amount, remaining, retry, reset_in, self._name, float(item.get_expiry())
        )

    def peek(self, key: str) -> Decision:
        """Return what `take` would decide, counting nothing."""
        item = self._item
        remaining, next_in, reset_in = self._stand(key, 1)
        retry = 0.0 if remaining else max(next_in, 1e-3)
        return Decision(
            remaining > 0,
            item.amount,
            remaining,
            retry,
            reset_in,
            self._name,
            float(item.get_expiry()),
        )

    def _stand(self, key: str, cost: int) -> tuple[int, float, float]:
        """Return calls left, seconds until ``cost`` fits, seconds until all is back."""
        item = self._item
        if isinstance(self._limiter, SlidingWindowCounterRateLimiter):
            storage = cast(SlidingWindowCounterSupport, self._limiter.storage)
            stand = storage.get_sliding_window(item.key_for(key), item.get_expiry())
            return _sliding(stand, item.amount, float(item.get_expiry()), min(cost, item.amount))
        reset, remaining = self._limiter.get_window_stats(item, key)
        next_in = max(0.0, reset - self._clock.time())
        return remaining, next_in, next_in


def _sliding(
    stand: tuple[int, float, int, float], amount: int, period: float, cost: int
) -> tuple[int, float, float]:
    previous, previous_left, current, current_left = stand
    weighted = previous * previous_left / period + current
    reset = current_left if current else previous_left
    room = amount - cost + 1  # the weighted count must stay under it
    if weighted < room:
        wait = 0.0
    elif current < room:
        wait = previous_left - (room - current) * period / previous
    else:
        # Only once these hits are the previous window's does their weight go down.
        wait = current_left - period + period * (1 - room / current)
    return max(0, amount - int(weighted)), wait, reset
