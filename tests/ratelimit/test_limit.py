from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest

from falconkit.context import Context
from falconkit.endpoint import Middleware, chain
from falconkit.errors import ConfigurationError, RateLimited
from falconkit.events import Event, Events, LimiterFellBack
from falconkit.layers import layers
from falconkit.naming import named
from falconkit.ratelimit import Decision, TokenBucket, by_caller, delay, limit
from falconkit.ratelimit.middleware import pass_on
from falconkit.testing import ManualClock, Script, conform_middleware


class Remembers:
    """A limiter that says what it is told to, and remembers what it was asked."""

    def __init__(self, *allowed: bool) -> None:
        self.allowed = list(allowed)
        self.asked: list[tuple[str, int]] = []

    def take(self, key: str, cost: int = 1) -> Decision:
        self.asked.append((key, cost))
        allowed = self.allowed.pop(0) if self.allowed else True
        return Decision(allowed, 5, 4, 0.0 if allowed else 1.5, 2.0, "test", 5.0)


def test_keeps_the_laws_of_middlewares() -> None:
    conform_middleware(
        lambda: limit(TokenBucket("1000000/second", storage="memory://")),
        misconfigured=[
            lambda: limit("often"),
            lambda: limit("1/second", cost=0),
            lambda: limit("1/second", cost=2),
        ],
    )


def test_refuses_with_data_and_leaves_the_decision_either_way() -> None:
    inner = Script("hi")
    call = limit(Remembers(True, False))(inner)
    ctx = Context()
    assert call(ctx, 1) == "hi"
    assert ctx.notes.of(Decision) == (Decision(True, 5, 4, 0.0, 2.0, "test", 5.0),)
    ctx = Context()
    with pytest.raises(RateLimited) as error:
        call(ctx, 2)
    assert (error.value.retry_after, error.value.limit, error.value.remaining) == (1.5, 5, 4)
    assert [each.allowed for each in ctx.notes.of(Decision)] == [False]
    assert inner.requests == [1]


@pytest.mark.parametrize(
    ("config", "asked"),
    [
        ({}, ("add", 1)),
        ({"cost": 3}, ("add", 3)),
        ({"cost": lambda ctx, request: request["n"]}, ("add", 2)),
        ({"key": by_caller}, ("add/192.0.2.1", 1)),
        ({"key": lambda ctx, request: request["who"], "cost": 4}, ("add/ann", 4)),
        ({"key": by_caller, "cost": lambda ctx, request: 5}, ("add/192.0.2.1", 5)),
        ({"scope": "writes"}, ("writes", 1)),
        ({"scope": "writes", "key": by_caller}, ("writes/192.0.2.1", 1)),
    ],
)
def test_asks_for_key_and_cost(config: dict[str, Any], asked: tuple[str, int]) -> None:
    limiter = Remembers()
    call = limit(limiter, **config)(Script("hi", name="add"))
    call(Context(caller="192.0.2.1"), {"n": 2, "who": "ann"})
    assert limiter.asked == [asked]


def test_endpoints_share_a_bucket_only_in_a_scope() -> None:
    bucket = TokenBucket("1/hour", storage="memory://")
    one, two = named("one")(lambda ctx, v: v), named("two")(lambda ctx, v: v)
    apart = limit(bucket)
    assert (apart(one)(Context(), 1), apart(two)(Context(), 2)) == (1, 2)
    together = limit(bucket, scope="both")
    together(one)(Context(), 1)
    with pytest.raises(RateLimited):
        together(two)(Context(), 2)


def test_a_key_is_not_taken_for_an_endpoint() -> None:
    bucket = TokenBucket("1/hour", storage="memory://")
    keyed = limit(bucket, key=lambda ctx, request: request)
    everybody = limit(bucket)
    endpoint = named("add")(lambda ctx, v: v)
    everybody(endpoint)(Context(), "")
    assert keyed(endpoint)(Context(), "") == ""


def test_a_rate_alone_is_a_bucket_on_the_default_arena() -> None:
    call = limit("1/hour", scope=f"test {id(object())}")(Script("hi"))
    assert call(Context(), 1) == "hi"
    with pytest.raises(RateLimited) as error:
        call(Context(), 1)
    assert 3590 < (error.value.retry_after or 0) <= 3600


def test_a_cost_that_depends_on_the_call_may_be_too_much() -> None:
    bucket = TokenBucket("5/hour", storage="memory://")
    call = limit(bucket, cost=lambda ctx, request: request)(Script("hi"))
    with pytest.raises(RateLimited) as error:
        call(Context(), 6)
    assert error.value.retry_after is None
    assert error.value.remaining == 5
    with pytest.raises(ValueError, match="cannot cost -1"):
        call(Context(), -1)
    assert call(Context(), 5) == "hi"


@pytest.mark.parametrize(
    ("cost", "why"),
    [
        (0, "cost is 0: give a whole number, 1 or more"),
        (True, "cost is True"),
        (1.5, "cost is 1.5: give a whole number, or a function"),
        ("1", "cost is '1'"),
        (6, "cost is 6 and TokenBucket('5 per 1 hour') holds 5: no call would ever pass"),
    ],
)
def test_a_cost_that_cannot_be_paid_is_said_at_build(cost: Any, why: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        limit(TokenBucket("5/hour", storage="memory://"), cost=cost)
    assert why in str(error.value)


def test_100_threads_get_just_the_limit() -> None:
    inner = Script(*["hi"] * 250)
    call = limit(TokenBucket("250/hour", storage="memory://"))(inner)
    refused: list[RateLimited] = []

    def caller() -> None:
        for _ in range(5):
            try:
                call(Context(), None)
            except RateLimited as error:
                refused.append(error)

    threads = [threading.Thread(target=caller) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 250
    inner.done()


class Telling(Remembers):
    """A limiter that has news."""

    def __init__(self, *news: Event) -> None:
        super().__init__(True, False)
        self.news = deque(news)

    def carry(self) -> deque[Event]:
        return self.news


FELL = LimiterFellBack("test", "away")


@pytest.mark.parametrize("middleware", [limit, delay])
def test_passes_on_what_the_limiter_has_to_tell(middleware: Callable[..., Middleware]) -> None:
    limiter = Telling(FELL)
    call = middleware(limiter)(Script("hi"))
    heard: list[Event] = []
    call(Context(events=Events(heard.append)), 1)
    assert heard == [FELL]
    limiter.news.extend([FELL, FELL])
    with pytest.raises(RateLimited):
        call(Context(events=Events(heard.append)), 1)
    assert heard == [FELL] * 3


@pytest.mark.parametrize("middleware", [limit, delay])
def test_passes_it_on_to_those_it_was_given(middleware: Callable[..., Middleware]) -> None:
    own: list[Event] = []
    heard: list[Event] = []
    call = middleware(Telling(FELL), events=Events(own.append))(Script("hi"))
    call(Context(events=Events(heard.append)), 1)
    assert (own, heard) == ([FELL], [])


def test_two_that_pass_on_at_once_do_not_meet() -> None:
    class Raced(deque[Event]):
        def __bool__(self) -> bool:
            return True  # and then another thread has taken the last

    heard: list[Event] = []
    pass_on(Raced([FELL]), Events(heard.append))
    assert heard == [FELL]


def test_says_of_itself_what_it_is() -> None:
    bucket = TokenBucket("5/hour", storage="memory://")
    (layer,) = layers(chain(limit(bucket, scope="writes"))(lambda ctx, v: v))
    assert (layer.name, layer.observes) == ("limit", False)
    assert layer.config == {"limiter": bucket, "key": None, "scope": "writes"}
    assert repr(bucket) == "TokenBucket('5 per 1 hour')"


@pytest.mark.parametrize(
    ("caller", "key"),
    [
        ("", ""),
        ("ann", "ann"),
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "20010db800010002/64"),
        ("2001:DB8:1:2::", "20010db800010002/64"),
        ("fe80::1%eth0", "fe80000000000000/64"),
        ("::1", "0000000000000000/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("svc:orders", "svc:orders"),
        ("a:\x00b", "a:\x00b"),
        ("a:\ud800", "a:\ud800"),
    ],
)
def test_by_caller(caller: str, key: str) -> None:
    assert by_caller(Context(caller=caller), None) == key


def test_a_frozen_clock_refuses_until_it_moves() -> None:
    clock = ManualClock()
    bucket = TokenBucket("1 per 2 second", storage="memory://", clock=clock)
    call = limit(bucket)(Script("a", "b"))
    assert call(Context(), 1) == "a"
    for seconds in (0.0, 1.0, 0.999):
        clock.advance(seconds)
        with pytest.raises(RateLimited):
            call(Context(), 1)
    clock.advance(0.001)
    assert call(Context(), 1) == "b"
