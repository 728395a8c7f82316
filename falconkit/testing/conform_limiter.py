"""The laws of limiters, as a suite that anybody's limiter or store can be put through."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from falconkit.ratelimit.decision import Decision, Limiter

KEYS = ("", "ann", "a b", "a/b", "añn€🦅", "a\nb\x00c", "\ud800", "%s{}", "x" * 10_000)
"""Keys such as callers may bring about; no limiter takes two for one, or raises."""


class Bench(Protocol):
    """Makes limiters for the laws, and lets their time pass."""

    @property
    def slack(self) -> float:
        """Seconds by which an answer may be off: 0 with a clock of one's own."""

    def make(self, rate: str) -> Limiter:
        """Make a limiter of ``rate`` over one storage, the same for all of this bench."""

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass in that storage."""


Law = Callable[[Bench], None]


def a_whole_limit_passes_at_once(bench: Bench) -> None:
    """Just ``limit`` calls pass, and each decision says how many are left."""
    limiter = bench.make("5/hour")
    for left in (4, 3, 2, 1, 0):
        decision = limiter.take("ann")
        _expect(decision.allowed, True, "a call under the limit is allowed")
        _expect(decision.limit, 5, "limit")
        _expect(decision.remaining, left, "remaining")
        _expect(decision.retry_after, 0.0, "retry_after of an allowed call")
    refused = limiter.take("ann")
    _expect(refused.allowed, False, "the call over the limit is refused")
    _expect(refused.remaining, 0, "remaining of a refused call")


def a_decision_names_its_rate(bench: Bench) -> None:
    """``policy`` and ``window`` are there for the headers."""
    decision = bench.make("5/hour").take("ann")
    _expect(decision.window, 3600.0, "window")
    _expect(bool(decision.policy) and decision.policy.isprintable(), True, "policy is a name")


def a_refused_call_passes_when_it_says(bench: Bench) -> None:
    """``retry_after`` is when one such call passes: not before, and not only later."""
    limiter = bench.make("5/hour")
    refused = _exhaust(limiter, "ann", 5)
    wait = _seconds(refused)
    _expect(wait > 0, True, "a refused call has to wait")
    margin = max(bench.slack, 0.01)
    bench.advance(wait - margin)
    early = limiter.take("ann")
    _expect(early.allowed, False, f"a call {margin} s early is refused")
    bench.advance(2 * margin)
    _expect(limiter.take("ann").allowed, True, "a call after retry_after passes")


def a_cost_above_the_limit_never_passes(bench: Bench) -> None:
    """It is refused as not retryable, and takes nothing."""
    limiter = bench.make("5/hour")
    refused = limiter.take("ann", 6)
    _expect((refused.allowed, refused.retry_after), (False, None), "a cost of 6 of 5")
    _expect(limiter.take("ann", 5).allowed, True, "all 5 are still there")


def a_call_may_be_free_but_gives_nothing(bench: Bench) -> None:
    """A cost of 0 takes nothing; one below is an error, lest a caller fill the bucket."""
    limiter = bench.make("2/hour")
    for _ in range(3):
        _expect(limiter.take("ann", 0).allowed, True, "a free call")
    _expect(limiter.take("ann", 2).allowed, True, "both are still there")
    try:
        limiter.take("ann", -1)
    except ValueError:
        pass
    else:
        raise AssertionError("a cost of -1 was taken")
    _expect(limiter.take("ann").allowed, False, "nothing was given back")


def keys_are_apart(bench: Bench) -> None:
    """Nobody pays for another, whatever is in a key."""
    limiter = bench.make("1/hour")
    for key in KEYS:
        _expect(limiter.take(key).allowed, True, f"the first call of {key[:20]!r}")
    for key in KEYS:
        _expect(limiter.take(key).allowed, False, f"the second call of {key[:20]!r}")


def a_changed_rate_begins_anew(bench: Bench) -> None:
    """Limiters of two rates do not read each other's state."""
    _exhaust(bench.make("1/hour"), "ann", 1)
    _expect(bench.make("3/minute").take("ann").remaining, 2, "remaining at another rate")


def limiters_of_one_storage_share(bench: Bench) -> None:
    """Two limiters of one rate over one storage are one."""
    one, two = bench.make("3/hour"), bench.make("3/hour")
    one.take("ann")
    _expect(two.take("ann").remaining, 1, "remaining, seen through the other")


def threads_are_counted_exactly(bench: Bench) -> None:
    """Of 100 threads that take 3 each from 120, just 120 get theirs."""
    limiter = bench.make("120/hour")
    start = threading.Barrier(100)
    allowed: list[bool] = []

    def caller() -> None:
        start.wait()
        for _ in range(3):
            allowed.append(limiter.take("all").allowed)

    threads = [threading.Thread(target=caller) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    _expect((len(allowed), sum(allowed)), (300, 120), "calls, and those allowed")


def a_refusal_takes_nothing(bench: Bench) -> None:
    """However often one asks too early, the wait grows no longer."""
    limiter = bench.make("5/hour")
    wait = _seconds(_exhaust(limiter, "ann", 5))
    for _ in range(20):
        again = _seconds(limiter.take("ann"))
    _near(again, wait, bench.slack, "retry_after after 20 refusals")


def tokens_come_back_one_by_one(bench: Bench) -> None:
    """Each interval brings one, never more than the burst."""
    limiter = bench.make("5/hour")
    refused = _exhaust(limiter, "ann", 5)
    _near(_seconds(refused), 720.0, bench.slack, "retry_after of an empty bucket")
    _near(refused.reset_after, 3600.0, bench.slack, "reset_after of an empty bucket")
    bench.advance(2 * 720.0 + bench.slack)
    _expect(limiter.take("ann").remaining, 1, "remaining after two intervals and a call")
    bench.advance(100 * 3600.0)
    _expect(limiter.take("ann").remaining, 4, "remaining after a long rest and a call")


def costs_are_taken_whole_or_not_at_all(bench: Bench) -> None:
    """A call that finds less than it costs takes none of it."""
    limiter = bench.make("5/hour")
    _expect(limiter.take("ann", 3).remaining, 2, "remaining after a cost of 3")
    refused = limiter.take("ann", 4)
    _expect((refused.allowed, refused.remaining), (False, 2), "a cost of 4 where 2 are left")
    _near(_seconds(refused), 2 * 720.0, bench.slack, "retry_after of a cost of 4")
    _expect(limiter.take("ann", 2).allowed, True, "the 2 are still there")


LAWS: tuple[Law, ...] = (
    a_whole_limit_passes_at_once,
    a_decision_names_its_rate,
    a_refused_call_passes_when_it_says,
    a_cost_above_the_limit_never_passes,
    a_call_may_be_free_but_gives_nothing,
    keys_are_apart,
    a_changed_rate_begins_anew,
    limiters_of_one_storage_share,
    threads_are_counted_exactly,
)
"""What every limiter keeps."""

BUCKET_LAWS: tuple[Law, ...] = (
    a_refusal_takes_nothing,
    tokens_come_back_one_by_one,
    costs_are_taken_whole_or_not_at_all,
)
"""What a token bucket keeps beside `LAWS`."""


def conform_limiter(bench: Callable[[], Bench], laws: Iterable[Law] = LAWS + BUCKET_LAWS) -> None:
    """Put a limiter through every law, each on a bench of its own.

    >>> from falconkit.ratelimit import TokenBucket
    >>> from falconkit.ratelimit.memory import MemoryBuckets
    >>> from falconkit.testing import ManualClock
    >>> class InMemory:
    ...     slack = 0.0
    ...     def __init__(self):
    ...         self.clock = ManualClock()
    ...         self.store = MemoryBuckets(clock=self.clock)
    ...         self.advance = self.clock.advance
    ...     def make(self, rate):
    ...         return TokenBucket(rate, storage=self.store)
    >>> conform_limiter(InMemory)

    Args:
        bench: Makes a bench with a storage that is empty.
        laws: Which; a limiter that is no token bucket keeps `LAWS` alone.

    Raises:
        AssertionError: A law is broken; the message says which, and how.
    """
    for law in laws:
        try:
            law(bench())
        except AssertionError as failure:
            raise AssertionError(f"{law.__name__}: {failure}") from None


def _exhaust(limiter: Limiter, key: str, limit: int) -> Decision:
    for _ in range(limit):
        limiter.take(key)
    return limiter.take(key)


def _seconds(decision: Decision) -> float:
    if decision.retry_after is None:
        raise AssertionError(f"retry_after is None in {decision!r}")
    return decision.retry_after


def _expect(value: object, wanted: object, what: str) -> None:
    if value != wanted:
        raise AssertionError(f"{what}: expected {wanted!r}, got {value!r}")


def _near(value: float, wanted: float, slack: float, what: str) -> None:
    if abs(value - wanted) > slack + 1e-6:
        raise AssertionError(f"{what}: expected {wanted} within {slack} s, got {value}")
