import contextlib
import gc
import threading
import weakref

import pytest

from falconkit import Context, chain, current, layers, named
from falconkit.context import ATTEMPT
from falconkit.errors import (
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    Failed,
    Forbidden,
    OutcomeUnknown,
    RateLimited,
    RetriesExhausted,
    UpstreamFailed,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from falconkit.events import Events, RetriesGaveUp, TryFailed
from falconkit.retry import Budget, fixed, full_jitter, on, retry, seconds, transient, tries
from falconkit.testing import ManualClock, Script

AWAY = UpstreamUnavailable("users cannot be reached", upstream="users")
LATE = UpstreamTimeout("users did not answer in 2 s", upstream="users")


def refused(seconds):
    error = RateLimited(retry_after=seconds)
    error.upstream = "users"
    return error


@pytest.fixture
def clock():
    return ManualClock()


def test_three_tries_by_default_with_short_waits(clock):
    inner = Script(AWAY, AWAY, "ann")
    assert retry(clock=clock, rng=max)(inner)(Context(), 7) == "ann"
    assert clock.slept == [0.025, 0.05]
    assert inner.requests == [7, 7, 7]


def test_by_default_the_wait_is_drawn_from_nothing_to_its_most(clock):
    for _ in range(50):
        retry(clock=clock)(Script(AWAY, 1))(Context(), 7)
    assert all(0 <= each <= 0.025 for each in clock.slept)
    assert len(set(clock.slept)) > 40


def test_the_last_error_has_every_cause(clock):
    inner = Script(AWAY, refused(0), AWAY)
    with pytest.raises(UpstreamUnavailable) as raised:
        retry(clock=clock)(inner)(Context(), 7)
    error = raised.value
    assert isinstance(error, RetriesExhausted)
    assert [type(each) for each in error.causes] == [
        UpstreamUnavailable,
        RateLimited,
        UpstreamUnavailable,
    ]
    assert (error.why, error.upstream, error.__cause__) == ("stopped", "users", AWAY)
    assert str(error) == "users cannot be reached (3 tries, stopped)"
    inner.done()


@pytest.mark.parametrize(
    "error", [Forbidden(), Failed("taken"), ValueError("x"), OutcomeUnknown(), CircuitOpen()]
)
def test_what_is_not_worth_it_comes_through_as_it_is(error, clock):
    with pytest.raises(type(error)) as raised:
        retry(clock=clock, idempotent=True)(Script(error))(Context(), 7)
    assert raised.value is error
    assert error.__cause__ is None
    assert clock.slept == []


def test_what_is_not_worth_it_at_a_further_try_ends_it(clock):
    inner = Script(AWAY, Forbidden("not you"))
    with pytest.raises(Forbidden) as raised:
        retry(clock=clock)(inner)(Context(), 7)
    assert (raised.value.why, len(raised.value.causes)) == ("not_retryable", 2)


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_who_is_told_to_end_ends(kind, clock):
    for inner in (Script(kind), Script(AWAY, kind)):
        with pytest.raises(kind) as raised:
            retry(when=lambda error: True, clock=clock)(inner)(Context(), 7)
        assert type(raised.value) is kind
        inner.done()


def test_one_who_is_told_to_end_while_he_waits_ends():
    class Broken(ManualClock):
        def sleep(self, seconds, /):
            raise KeyboardInterrupt

    inner = Script(AWAY)
    with pytest.raises(KeyboardInterrupt):
        retry(clock=Broken())(inner)(Context(), 7)


# Whether a call that may have run is tried again.


def of_kind(idempotent):
    inner = Script(LATE, 1)
    if idempotent is not None:
        inner.idempotent = idempotent
    return inner


@pytest.mark.parametrize(
    ("told", "own", "method", "again"),
    [
        (None, None, "GET", True),
        (None, None, "PUT", True),
        (None, None, "POST", False),
        (None, None, "", False),
        (None, True, "POST", True),
        (None, False, "GET", False),
        (True, False, "POST", True),
        (False, True, "GET", False),
    ],
)
def test_who_says_whether_a_call_may_be_repeated(told, own, method, again, clock):
    inner = of_kind(own)
    call = retry(idempotent=told, clock=clock)(named("renamed")(inner))
    if again:
        assert call(Context(method=method), 7) == 1
    else:
        with pytest.raises(UpstreamTimeout) as raised:
            call(Context(method=method), 7)
        assert raised.value is LATE


def test_what_was_not_run_is_tried_again_whatever_the_method(clock):
    inner = Script(AWAY, refused(0), 1)
    inner.idempotent = False
    assert retry(clock=clock)(inner)(Context(method="POST"), 7) == 1


def test_when_is_the_users_to_say(clock):
    assert retry(when=on(KeyError), clock=clock)(Script(KeyError, 1))(Context(), 7) == 1
    assert retry(when=lambda error: "x" in str(error), clock=clock)(Script(ValueError("x"), 1))(
        Context(), 7
    )
    with pytest.raises(UpstreamUnavailable) as raised:
        retry(when=on(KeyError), clock=clock)(Script(AWAY))(Context(), 7)
    assert raised.value is AWAY
    own = RateLimited(retry_after=0.5)
    assert retry(when=transient | on(RateLimited), clock=clock)(Script(own, 1))(Context(), 7) == 1


# How long, and until when.


def test_retry_after_is_waited_for_and_the_jitter_on_top(clock):
    retry(clock=clock, rng=max)(Script(refused(2), 1))(Context(), 7)
    assert clock.slept == [2.025]


def test_a_retry_after_that_is_too_long_is_told_and_not_waited_for(clock):
    with pytest.raises(RateLimited) as raised:
        retry(clock=clock)(Script(refused(5.1)))(Context(), 7)
    assert (raised.value.why, raised.value.retry_after, clock.slept) == ("retry_after", 5.1, [])
    with pytest.raises(RateLimited):
        retry(max_retry_after=0, clock=clock)(Script(refused(0.1)))(Context(), 7)
    assert retry(max_retry_after=60, clock=clock)(Script(refused(60), 1))(Context(), 7) == 1


@pytest.mark.parametrize("odd", [float("inf"), float("nan"), -5, True, "2", None])
def test_an_odd_retry_after_does_no_harm(odd, clock):
    error = UpstreamUnavailable("x", retry_after=odd)
    call = retry(clock=clock, wait=fixed(0))(Script(error, 1))
    if odd == float("inf"):
        with pytest.raises(RetriesExhausted):
            call(Context(), 7)
    else:
        assert call(Context(), 7) == 1
        assert clock.slept == [0]


def test_it_waits_never_past_the_deadline(clock):
    call = retry(wait=fixed(0.5), clock=clock)
    with pytest.raises(UpstreamUnavailable) as raised:
        call(Script(AWAY))(Context(deadline=clock.monotonic() + 0.5), 7)
    assert (raised.value.why, clock.slept) == ("deadline", [])
    assert call(Script(AWAY, 1))(Context(deadline=clock.monotonic() + 0.51), 7) == 1
    with pytest.raises(RetriesExhausted):
        call(Script(AWAY))(Context(deadline=clock.monotonic() - 1), 7)


def test_seconds_bound_when_the_last_try_starts(clock):
    def slow(ctx, request):
        clock.advance(0.9)
        raise AWAY

    inner = Script(*[slow] * 9)
    with pytest.raises(RetriesExhausted) as raised:
        retry(stop=seconds(2), wait=fixed(0.1), clock=clock)(inner)(Context(), 7)
    assert (len(inner.calls), raised.value.why) == (3, "stopped")


def test_every_stop_ends(clock):
    inner = Script(*[AWAY] * 200)
    with pytest.raises(RetriesExhausted):
        retry(
            stop=seconds(1) & tries(3), wait=fixed(0), budget=Budget(100.0, floor=99), clock=clock
        )(inner)(Context(), 7)
    assert len(inner.calls) == 100


# One layer tries again.


def test_further_tries_carry_their_number_and_are_the_current_context(clock):
    seen = []

    def look(ctx, request):
        seen.append((ctx.get(ATTEMPT), current.get() is ctx))
        raise AWAY

    ctx = Context(request_id="r-1")
    token = current.set(ctx)
    with pytest.raises(RetriesExhausted):
        retry(clock=clock)(look)(ctx, 7)
    assert seen == [(None, True), (2, True), (3, True)]
    assert current.get() is ctx
    current.reset(token)


def test_within_a_further_try_of_somebody_else_nothing_is_tried_again(clock):
    budget = Budget(clock=clock)
    with pytest.raises(UpstreamUnavailable) as raised:
        retry(budget=budget, clock=clock)(Script(AWAY))(Context().having(ATTEMPT, 2), 7)
    assert raised.value is AWAY
    assert budget.status()["calls"] == 0


def test_two_layers_do_not_multiply(clock):
    inner = Script(AWAY, AWAY, AWAY)
    both = chain(retry(clock=clock), retry(clock=clock))
    with pytest.raises(RetriesExhausted) as raised:
        both(inner)(Context(), 7)
    assert len(raised.value.causes) == 3


def test_two_layers_on_different_errors_do_not_multiply(clock):
    every = Script(AWAY, KeyError, AWAY, KeyError)
    both = chain(
        retry(when=on(KeyError), clock=clock), retry(when=on(UpstreamUnavailable), clock=clock)
    )
    with pytest.raises(KeyError):
        both(every)(Context(), 7)
    assert len(every.calls) == 2
    other = Script(KeyError, AWAY)
    with pytest.raises(UpstreamUnavailable):
        both(other)(Context(), 7)
    assert len(other.calls) == 2


def test_an_error_that_is_final_is_never_tried_again(clock):
    error = UpstreamUnavailable("retried there", upstream="users")
    error.final = True
    with pytest.raises(UpstreamUnavailable) as raised:
        retry(when=on(Exception), clock=clock)(Script(error))(Context(), 7)
    assert raised.value is error


# The budget.


def test_a_budget_is_each_endpoints_own_unless_it_is_given(clock):
    middleware = retry(clock=clock, wait=fixed(0))
    one, two = (middleware(Script(*[AWAY] * 400)) for _ in range(2))
    for call in (one, two):
        outcomes = [failure(call).why for _ in range(60)]
        assert outcomes.count("stopped") == 50
    shared = retry(budget=Budget(floor=1.0, clock=clock), clock=clock)
    one, two = (shared(Script(*[AWAY] * 400)) for _ in range(2))
    assert [failure(one).why for _ in range(5)] == ["stopped"] * 5
    assert failure(two).why == "budget"


def failure(call):
    with pytest.raises(RetriesExhausted) as raised:
        call(Context(), 7)
    return raised.value


def test_a_call_that_finds_the_budget_spent_says_so_and_is_final(clock):
    error = failure(retry(budget=Budget(0, floor=0, clock=clock), clock=clock)(Script(AWAY)))
    assert (error.why, error.causes, error.final) == ("budget", (AWAY,), True)


def test_nothing_is_taken_for_a_retry_that_is_not_made(clock):
    budget = Budget(clock=clock)
    for stop, deadline in ((tries(1), None), (tries(3), clock.monotonic())):
        with pytest.raises(RetriesExhausted):
            retry(stop=stop, budget=budget, clock=clock)(Script(AWAY))(
                Context(deadline=deadline), 7
            )
    assert budget.status() == {"calls": 2, "retries": 0, "refused": 0}


def test_layers_that_share_a_budget_count_a_call_once(clock):
    budget = Budget(clock=clock)
    twice = chain(retry(budget=budget, clock=clock), retry(budget=budget, clock=clock))(
        Script(AWAY, 1, 2)
    )
    twice(Context(), 7)
    twice(Context(), 7)
    assert budget.status() == {"calls": 2, "retries": 1, "refused": 0}


def test_100_threads_keep_the_budget():
    budget = Budget(0.1, floor=0, window=60)
    made = []

    def always_away(ctx, request):
        made.append(1)
        raise AWAY

    call = retry(budget=budget, wait=fixed(0))(always_away)
    start = threading.Barrier(100)

    def run():
        start.wait()
        for _ in range(20):
            with pytest.raises(UpstreamUnavailable):
                call(Context(), 7)

    threads = [threading.Thread(target=run) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 2000 <= len(made) <= 2200
    assert len(made) - 2000 == budget.status()["retries"]


# What it tells, and what it keeps.


def test_it_tells_of_failed_tries_and_of_giving_up(clock):
    heard = []
    ctx = Context(events=Events(heard.append))
    retry(clock=clock)(Script(AWAY, 1, name="users"))(ctx, 7)
    assert heard == [TryFailed("users", 1, "UpstreamUnavailable")]
    heard.clear()
    with pytest.raises(RetriesExhausted):
        retry(clock=clock, stop=tries(2))(Script(AWAY, AWAY, name="users"))(ctx, 7)
    assert heard == [
        TryFailed("users", 1, "UpstreamUnavailable"),
        RetriesGaveUp("users", 2, "stopped"),
    ]
    others = []
    with pytest.raises(RetriesExhausted):
        retry(clock=clock, stop=tries(1), events=Events(others.append))(Script(AWAY))(ctx, 7)
    assert others == [RetriesGaveUp("script", 1, "stopped")]
    assert len(heard) == 2


def test_a_call_that_is_over_keeps_nothing_alive(clock):
    class Request:
        pass

    def fails(ctx, request):
        raise UpstreamUnavailable("x")

    def once_away(ctx, request):
        if ctx.get(ATTEMPT) is None:
            raise UpstreamUnavailable("x")
        return 1

    gc.collect()
    gc.disable()
    try:
        request = Request()
        gone = weakref.ref(request)
        retry(clock=clock)(once_away)(Context(), request)
        with contextlib.suppress(UpstreamUnavailable):
            retry(clock=clock)(fails)(Context(), request)
        del request
        assert gone() is None
    finally:
        gc.enable()


def test_it_shows_what_it_was_given():
    (layer,) = layers(retry(stop=tries(3) | seconds(2))(Script(name="ask")))
    assert (layer.name, layer.observes) == ("retry", False)
    assert layer.config == {
        "stop": "tries(3) | seconds(2)",
        "wait": repr(full_jitter()),
        "when": "transient",
        "budget": None,
    }


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"stop": 3}, "stop=3: give tries"),
        ({"wait": 0.1}, "wait=0.1: give full_jitter"),
        ({"when": OSError}, "give transient, on"),
        ({"when": True}, "when=True"),
        ({"max_retry_after": -1}, "max_retry_after=-1: give seconds, 0 or more"),
        ({"max_retry_after": float("nan")}, "max_retry_after=nan"),
        ({"budget": 0.1}, "budget=0.1: give a Budget"),
        ({"idempotent": "no"}, "idempotent='no': give True, False or None"),
    ],
)
def test_what_cannot_work_is_said_when_it_is_built(config, why):
    with pytest.raises(ConfigurationError, match=why):
        retry(**config)


def test_a_deadline_of_our_own_is_not_tried_again(clock):
    with pytest.raises(DeadlineExceeded) as raised:
        retry(clock=clock, idempotent=True)(Script(DeadlineExceeded()))(Context(), 7)
    assert not isinstance(raised.value, RetriesExhausted)


def test_an_upstream_that_failed_for_good_is_not_asked_again(clock):
    failed = UpstreamFailed("users answered 404", status=404)
    failed.lasting = True
    with pytest.raises(UpstreamFailed) as raised:
        retry(clock=clock, idempotent=True)(Script(failed))(Context(), 7)
    assert raised.value is failed
    # Unless the caller knows better: what was created a moment ago may not be everywhere yet.
    assert retry(when=on(UpstreamFailed), clock=clock)(Script(failed, 1))(Context(), 7) == 1
