from __future__ import annotations

import pytest

from falconkit import Context, layers
from falconkit.errors import (
    BodyTooLarge,
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    DecodeError,
    Failed,
    Forbidden,
    NoInstance,
    OutcomeUnknown,
    Overloaded,
    RateLimited,
    Unauthenticated,
    UpstreamFailed,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from falconkit.events import Events, FellBack
from falconkit.fallback import fallback, fallback_stale, fallback_to
from falconkit.testing import Script

OUTAGES = [
    Overloaded(retry_after=1.0),
    CircuitOpen(),
    NoInstance(),
    RateLimited(),
    DeadlineExceeded(),
    UpstreamFailed("an error"),
    UpstreamTimeout("late"),
    UpstreamUnavailable("away"),
    ConnectionRefusedError(),
    TimeoutError(),
]
OTHERS = [
    DecodeError("what"),
    BodyTooLarge(1),
    Failed("taken"),
    Forbidden(),
    Unauthenticated(),
    OutcomeUnknown(),
    ConfigurationError("no"),
    ValueError("a bug"),
    KeyError("v"),
    OSError("disk"),
    StopIteration(1),
    KeyboardInterrupt(),
    SystemExit(3),
    GeneratorExit(),
]


def kind(error):
    return type(error).__name__


def by_request(ctx, request):
    return request


@pytest.mark.parametrize("error", OUTAGES, ids=kind)
def test_an_outage_is_answered(error):
    value = object()
    assert fallback(value)(Script(error))(Context(), 1) is value
    assert fallback_to(lambda ctx, request, error: value)(Script(error))(Context(), 1) is value
    stale = fallback_stale(key=by_request)(Script(value, error))
    assert stale(Context(), 1) is stale(Context(), 1) is value


@pytest.mark.parametrize("error", OTHERS, ids=kind)
def test_anything_else_comes_through(error):
    def never(ctx, request, error):
        raise AssertionError

    calls = [fallback(1), fallback_to(never)]
    for call in [each(Script(error)) for each in calls]:
        with pytest.raises(type(error)) as caught:
            call(Context(), 1)
        assert caught.value is error
    stale = fallback_stale(key=by_request)(Script("good", error))
    stale(Context(), 1)
    with pytest.raises(type(error)) as caught:
        stale(Context(), 1)
    assert caught.value is error


def test_an_upstream_s_word_on_us_is_no_outage():
    error = Forbidden()
    error.upstream = "billing"
    with pytest.raises(Forbidden):
        fallback(1)(Script(error))(Context(), 1)


def test_what_works_is_passed_on():
    assert fallback(1)(Script(2))(Context(), 1) == 2


def test_the_function_gets_context_request_and_error():
    got = []
    error, ctx = CircuitOpen(), Context()
    fallback_to(lambda *given: got.append(given))(Script(error))(ctx, "request")
    assert got == [(ctx, "request", error)]


def test_what_the_function_raises_the_caller_gets():
    error, other = CircuitOpen(), Failed("sold out")

    def raise_it(ctx, request, error):
        raise error

    def raise_other(ctx, request, error):
        raise other

    for function, raised in ((raise_it, error), (raise_other, other)):
        heard = []
        call = fallback_to(function, events=Events(heard.append))(Script(error))
        with pytest.raises(type(raised)) as caught:
            call(Context(), 1)
        assert caught.value is raised
        assert heard == []


def test_a_predicate_of_one_s_own():
    only_bugs = fallback("sorry", when=lambda error: isinstance(error, ValueError))
    assert only_bugs(Script(ValueError()))(Context(), 1) == "sorry"
    with pytest.raises(CircuitOpen):
        only_bugs(Script(CircuitOpen()))(Context(), 1)


def test_each_fall_is_told():
    heard = []
    ctx = Context(events=Events(heard.append))
    fallback(1)(Script(CircuitOpen(), name="add"))(ctx, 1)
    fallback_to(lambda *_: 1)(Script(UpstreamTimeout("late"), name="add"))(ctx, 1)
    stale = fallback_stale(key=by_request)(Script(1, TimeoutError(), name="add"))
    stale(ctx, 1)
    stale(ctx, 1)
    assert heard == [
        FellBack("add", "value", "CircuitOpen"),
        FellBack("add", "function", "UpstreamTimeout"),
        FellBack("add", "stale", "TimeoutError"),
    ]


@pytest.mark.parametrize(
    "build",
    [
        lambda: fallback(1, when=CircuitOpen),
        lambda: fallback(1, when=(CircuitOpen,)),
        lambda: fallback_to("answer"),
        lambda: fallback_to(lambda *_: 1, when=None),
        lambda: fallback_stale(key="user"),
        lambda: fallback_stale(key=by_request, when=ValueError),
    ],
)
def test_what_cannot_be_used_is_said_when_it_is_built(build):
    with pytest.raises(ConfigurationError):
        build()


def test_the_layer_says_to_what():
    made = [fallback(1), fallback_to(lambda *_: 1), fallback_stale(key=by_request)]
    found = [layers(each(Script()))[0] for each in made]
    assert [each.name for each in found] == ["fallback"] * 3
    assert [each.config["to"] for each in found] == ["value", "function", "stale"]
