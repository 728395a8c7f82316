from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from falconkit import Context, layers
from falconkit.arena import Arena
from falconkit.errors import (
    ConfigurationError,
    DecodeError,
    Failed,
    Forbidden,
    Overloaded,
    RateLimited,
    Unauthenticated,
    UpstreamTimeout,
)
from falconkit.metrics import Distribution, Metrics, expvar, measure
from falconkit.metrics.sample import snake_case
from falconkit.testing import ManualClock, Script
from falconkit.testing.middleware_laws import LAWS, Subject


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(arena: Arena, law: Callable[[Subject], None]) -> None:
    metrics = Metrics(arena=arena)
    law(
        Subject(
            lambda: measure(metrics),
            counted=lambda: expvar(metrics).get("request.count", 0),
            misconfigured=(lambda: measure(None), lambda: measure(arena)),
        )
    )


class Answer:
    def __init__(self, failure: object) -> None:
        self._failure = failure

    def failed(self) -> Any:
        if isinstance(self._failure, type):
            raise self._failure
        return self._failure


class NoFailer:
    failed = True


class HTTPError(Exception):
    pass


@pytest.mark.parametrize(
    ("outcome", "result", "kind"),
    [
        ("ok", 1, None),
        ("ok", Answer(None), None),
        ("ok", NoFailer(), None),
        ("failed", Answer(Failed("taken")), "failed"),
        ("failed", Answer(KeyError("v")), "key_error"),
        ("failed", Answer(ZeroDivisionError), "zero_division_error"),
        ("failed", Failed("taken"), "failed"),
        ("refused", RateLimited(), "rate_limited"),
        ("refused", Overloaded(), "overloaded"),
        ("refused", Unauthenticated(), "unauthenticated"),
        ("refused", Forbidden(), "forbidden"),
        ("invalid", DecodeError("no"), "decode_error"),
        ("error", UpstreamTimeout("late"), "upstream_timeout"),
        ("error", HTTPError(), "http_error"),
        ("error", KeyboardInterrupt(), "keyboard_interrupt"),
    ],
)
def test_outcomes_and_kinds(arena: Arena, outcome: str, result: Any, kind: str | None) -> None:
    metrics, script = Metrics(arena=arena), Script(*[result] * 3, name="add")
    call = measure(metrics)(script)
    for _ in range(3):
        if isinstance(result, BaseException):
            with pytest.raises(type(result)):
                call(Context(), 1)
        else:
            assert call(Context(), 1) is result
    shown = expvar(metrics)
    counts = {name: value for name, value in shown.items() if name.startswith("request.c")}
    errors = {name: value for name, value in shown.items() if name.startswith("request.e")}
    assert counts == {"request.count": 3, f"request.count{{endpoint=add,outcome={outcome}}}": 3}
    told = {"request.errors": 3, f"request.errors{{endpoint=add,kind={kind}}}": 3}
    assert errors == (told if kind else {})
    assert shown["request.seconds{endpoint=add}"]["count"] == 3


def test_seconds_are_those_of_the_clock(arena: Arena) -> None:
    clock = ManualClock()
    metrics = Metrics(arena=arena, clock=clock)

    def slow(ctx: Context, seconds: float) -> None:
        clock.advance(seconds)
        if seconds > 1:
            raise TimeoutError

    call = measure(metrics)(slow)
    call(Context(), 0.5)
    with pytest.raises(TimeoutError):
        call(Context(), 2.0)
    (seen,) = [each.value for each in metrics.read() if each.name == "request.seconds"]
    assert seen == Distribution.of([0.5, 2.0])


def test_a_clock_of_its_own(arena: Arena) -> None:
    clock = ManualClock()
    metrics = Metrics(arena=arena)
    measure(metrics, clock=clock)(lambda ctx, seconds: clock.advance(seconds))(Context(), 3.0)
    assert expvar(metrics)["request.seconds"]["sum"] == 3.0


def test_in_flight_while_it_runs(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    seen = []

    def outer(ctx: Context, depth: int) -> None:
        seen.append(expvar(metrics)["request.in_flight{endpoint=outer}"])
        if depth:
            call(ctx, depth - 1)
        else:
            raise ValueError

    call = measure(metrics)(outer)
    with pytest.raises(ValueError):
        call(Context(), 2)
    assert seen == [1, 2, 3]
    assert expvar(metrics)["request.in_flight"] == 0


def test_many_types_of_answers_are_all_counted(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    types = [type(f"T{n}", (), {}) for n in range(400)]
    call = measure(metrics)(lambda ctx, n: types[n]())
    for n in range(400):
        call(Context(), n)
        call(Context(), n)
    assert expvar(metrics)["request.count{endpoint=<lambda>,outcome=ok}"] == 800


def test_it_says_what_it_is(arena: Arena) -> None:
    (mark,) = layers(measure(Metrics(arena=arena))(lambda ctx, v: v))
    assert (mark.name, mark.observes) == ("measure", True)


def test_nothing_is_counted_before_the_first_call(arena: Arena, tmp_path: Any) -> None:
    metrics = Metrics(arena=arena)
    measure(metrics)(lambda ctx, v: v)
    assert list(tmp_path.iterdir()) == []
    assert metrics.read() == []


def test_a_metric_of_that_name_with_another_shape_is_refused(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    metrics.counter("request.count", ("endpoint",))
    with pytest.raises(ConfigurationError, match=r"request\.count is a counter"):
        measure(metrics)


@pytest.mark.parametrize(
    ("name", "snake"),
    [
        ("RateLimited", "rate_limited"),
        ("HTTPError", "http_error"),
        ("JSONDecodeError", "json_decode_error"),
        ("Http2Error", "http2_error"),
        ("timeout", "timeout"),
        ("_Private", "_private"),
    ],
)
def test_snake_case(name: str, snake: str) -> None:
    assert snake_case(name) == snake


def test_calls_that_we_make_have_names_of_their_own(arena: Arena) -> None:
    metrics = Metrics(arena=arena)
    call = measure(metrics, prefix="call")(Script(1, RateLimited(), name="get_user"))
    serve = measure(metrics)(lambda ctx, request: call(ctx, request))
    serve(Context(), 1)
    with pytest.raises(RateLimited):
        serve(Context(), 1)
    seen = expvar(metrics)
    assert (seen["request.count"], seen["call.count"]) == (2, 2)
    assert seen["call.count{endpoint=get_user,outcome=refused}"] == 1
    assert seen["call.errors{endpoint=get_user,kind=rate_limited}"] == 1
    assert seen["call.in_flight"] == 0
    with pytest.raises(ConfigurationError):
        measure(metrics, prefix="")
