from __future__ import annotations

import threading
from typing import Any

import pytest

from falconkit.context import Context
from falconkit.errors import ConfigurationError, RateLimited
from falconkit.layers import layers
from falconkit.ratelimit import Decision, Limiter, TokenBucket, delay
from falconkit.testing import ManualClock, Script, conform_middleware, wait_until
from tests.ratelimit.benches import InRedis


def bucket(rate: str, clock: ManualClock, burst: int = 1) -> TokenBucket:
    return TokenBucket(rate, burst=burst, storage="memory://", clock=clock)


def test_keeps_the_laws_of_middlewares() -> None:
    conform_middleware(
        lambda: delay(TokenBucket("1000000/second", storage="memory://")),
        misconfigured=[
            lambda: delay("often"),
            lambda: delay("1/second", cost=2),
            lambda: delay("1/second", max_wait=0.0),
        ],
    )


def test_waits_just_until_the_call_would_pass() -> None:
    clock = ManualClock()
    call = delay(bucket("4/second", clock), clock=clock)(Script(1, 2, 3))
    assert [call(Context(), None) for _ in range(3)] == [1, 2, 3]
    assert clock.slept == [0.25, 0.25]


def test_leaves_one_decision_the_last() -> None:
    clock = ManualClock()
    call = delay(bucket("4/second", clock), clock=clock)(Script(1, 2))
    call(Context(), None)
    ctx = Context()
    call(ctx, None)
    (decision,) = ctx.notes.of(Decision)
    assert (decision.allowed, decision.remaining) == (True, 0)


def test_refuses_at_once_what_would_wait_too_long() -> None:
    clock = ManualClock()
    call = delay(bucket("1 per 2 second", clock), clock=clock)(Script(1, 2))
    call(Context(), None)
    ctx = Context()
    with pytest.raises(RateLimited) as error:
        call(ctx, None)
    assert error.value.retry_after == 2.0
    assert clock.slept == []
    assert [each.allowed for each in ctx.notes.of(Decision)] == [False]
    clock.advance(1.0)
    assert call(Context(), None) == 2, "the one that gave up has taken nothing"
    assert clock.slept == [1.0]


def test_never_waits_past_the_deadline() -> None:
    clock = ManualClock()
    call = delay(bucket("2/second", clock), clock=clock)(Script(1, 2))
    call(Context(), None)
    with pytest.raises(RateLimited):
        call(Context(deadline=clock.monotonic() + 0.49), None)
    assert clock.slept == []
    assert call(Context(deadline=clock.monotonic() + 0.5), None) == 2
    assert clock.slept == [0.5]


def test_a_cost_that_never_passes_is_not_waited_for() -> None:
    clock = ManualClock()
    call = delay(bucket("4/second", clock), cost=lambda ctx, request: 2, clock=clock)(Script())
    with pytest.raises(RateLimited) as error:
        call(Context(), None)
    assert (error.value.retry_after, clock.slept) == (None, [])


def test_asks_again_when_another_was_quicker_within_the_same_bound() -> None:
    clock = ManualClock()
    shared = bucket("4/second", clock)

    class Raced(ManualClock):
        """Whoever sleeps finds, when it wakes, that somebody else has taken its token."""

        def monotonic(self) -> float:
            return clock.monotonic()

        def sleep(self, seconds: float, /) -> None:
            clock.sleep(seconds)
            shared.take("script")

    call = delay(shared, clock=Raced(), max_wait=1.0)(Script(1))
    call(Context(), None)
    with pytest.raises(RateLimited):
        call(Context(), None)
    assert clock.slept == [0.25] * 4
    assert sum(clock.slept) <= 1.0


def test_only_so_many_wait() -> None:
    clock = ManualClock()
    entered, leave = threading.Semaphore(0), threading.Event()

    class Held(ManualClock):
        def monotonic(self) -> float:
            return clock.monotonic()

        def sleep(self, seconds: float, /) -> None:
            entered.release()
            leave.wait(10)
            clock.advance(seconds)

    shared = delay(bucket("2/second", clock, burst=1), clock=Held(), max_waiters=2)
    add, sub = shared(Script(*range(9), name="add")), shared(Script(*range(9), name="sub"))
    add(Context(), None)
    sub(Context(), None)
    threads = [threading.Thread(target=call, args=(Context(), None)) for call in (add, sub)]
    for thread in threads:
        thread.start()
    for _ in threads:
        assert entered.acquire(timeout=10)
    with pytest.raises(RateLimited):
        add(Context(), None)
    leave.set()
    for thread in threads:
        thread.join(60)
    clock.advance(10)
    add(Context(), None)
    assert add(Context(), None) is not None, "the places of those who waited are free again"


def test_a_waiter_that_fails_leaves_its_place() -> None:
    class Broken(ManualClock):
        def sleep(self, seconds: float, /) -> None:
            raise KeyboardInterrupt

    clock = ManualClock()
    call = delay(bucket("2/second", clock), clock=Broken(), max_waiters=1)(Script(1))
    call(Context(), None)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            call(Context(), None)


@pytest.mark.parametrize("where", ["arena", "redis"])
def test_on_storages_with_a_clock_of_their_own(
    where: str, request: pytest.FixtureRequest, tmp_path: Any
) -> None:
    limiter: Limiter
    if where == "arena":
        limiter = TokenBucket("20/second", burst=1, storage=f"arena://{tmp_path}/arena")
    else:
        limiter = InRedis(request.getfixturevalue("redis_url")).make("20/second", burst=1)
    call = delay(limiter)(Script(1, 2, 3))
    ctx = Context()
    assert [call(ctx, None) for _ in range(3)] == [1, 2, 3]
    assert [each.allowed for each in ctx.notes.of(Decision)] == [True] * 3


def test_many_threads_stay_within_rate_and_bounds() -> None:
    limiter = TokenBucket("100/second", burst=5, storage="memory://")
    outcomes: list[bool] = []

    def caller() -> None:
        try:
            call(Context(), None)
        except RateLimited:
            outcomes.append(False)
        else:
            outcomes.append(True)

    call = delay(limiter, max_waiters=10)(Script(*[1] * 30))
    threads = [threading.Thread(target=caller) for _ in range(30)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(outcomes) == 30)
    assert sum(outcomes) >= 5


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"max_wait": 0}, "max_wait is 0: give seconds, more than 0"),
        ({"max_wait": float("inf")}, "max_wait is inf"),
        ({"max_wait": float("nan")}, "max_wait is nan"),
        ({"max_waiters": 0}, "max_waiters is 0: give a whole number, 1 or more"),
        ({"max_waiters": True}, "max_waiters is True"),
        ({"max_waiters": 1.5}, "max_waiters is 1.5"),
    ],
)
def test_bounds_that_bind_nothing_are_said_at_build(config: dict[str, Any], why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        delay(TokenBucket("1/second", storage="memory://"), **config)


def test_says_of_itself_what_it_is() -> None:
    bucket = TokenBucket("5/hour", storage="memory://")
    (layer,) = layers(delay(bucket)(lambda ctx, v: v))
    assert layer.name == "delay"
    assert layer.config == {
        "limiter": bucket,
        "key": None,
        "scope": None,
        "max_wait": 1.0,
        "max_waiters": 2,
    }
