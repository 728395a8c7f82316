"""The laws of middlewares, one function each; `conform_middleware` runs them all."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from falconkit.context import Context
from falconkit.endpoint import Middleware, chain
from falconkit.errors import ConfigurationError, Failed, RateLimited
from falconkit.layers import layers
from falconkit.naming import name_of, named
from falconkit.testing.script import Script
from falconkit.testing.specimens import Fatal, Hostile, Unprintable, kinds_of_endpoint

_THREADS = 100
_CALLS = 10


@dataclass(frozen=True, slots=True)
class Subject:
    """The middleware under test, and how to call it.

    Attributes:
        factory: Makes a new middleware, which lets hundreds of calls through.
        request: Makes a request that the middleware takes.
        context: Makes the context of a call.
        once: False when the concern is about calling the inner endpoint otherwise.
        counted: How many calls the middlewares of ``factory`` have counted so
            far, when they count.
        misconfigured: Each must raise `ConfigurationError` when it is called.
    """

    factory: Callable[[], Middleware]
    request: Callable[[], Any] = lambda: {"v": 1, "tags": ["a"]}
    context: Callable[[], Context] = lambda: Context("POST", "/add", "r-12345678901234567890")
    once: bool = True
    counted: Callable[[], float] | None = None
    misconfigured: Iterable[Callable[[], object]] = ()


def the_result_comes_back_by_identity(subject: Subject) -> None:
    """Any result: falsy, or one that can be neither shown, compared nor tested for truth."""
    results = [None, 0, False, "", [], {}, {"v": 1}, object(), Hostile(), iter(())]
    script = Script(*(_returning(result) for result in results))
    call = subject.factory()(script)
    for result in results:
        got = call(subject.context(), subject.request())
        _hold(got is result, f"a result of type {type(result).__name__} did not come back itself")
    script.done()


def an_exception_comes_through_by_identity(subject: Subject) -> None:
    """Any exception: ``BaseException`` too, and one whose text cannot be had."""
    if not subject.once:
        return
    errors: list[BaseException] = [
        ValueError("no"),
        RateLimited(retry_after=1.5, limit=1),
        Failed("taken"),
        StopIteration(1),
        TimeoutError(),
        Unprintable(),
        KeyboardInterrupt(),
        SystemExit(3),
        GeneratorExit(),
        Fatal("worker"),
    ]
    script = Script(*errors)
    call = subject.factory()(script)
    for error in errors:
        kind = type(error).__name__
        try:
            call(subject.context(), subject.request())
        except BaseException as raised:
            _hold(raised is error, f"{kind} came through as another: {type(raised).__name__}")
            _hold(raised.__cause__ is None, f"{kind} was given a cause on its way")
        else:
            _hold(False, f"{kind} was swallowed")
    script.done()


def the_request_is_passed_on_unchanged(subject: Subject) -> None:
    """The inner endpoint gets the same object, and it is as it was."""
    request = subject.request()
    before = copy.deepcopy(request)
    script = Script(*[_returning(1)] * 2)
    call = subject.factory()(script)
    call(subject.context(), request)
    _hold(script.requests[0] is request, "the inner endpoint got another request object")
    _hold(repr(request) == repr(before), f"the request was changed: {before!r} to {request!r}")


def the_context_stays_one(subject: Subject) -> None:
    """The inner context keeps ids, notes and events, and the caller's keeps everything."""
    ctx = subject.context()
    before = {name: getattr(ctx, name) for name in ("request_id", "deadline", "span", "caller")}
    script = Script(*[_returning(1)] * 2)
    subject.factory()(script)(ctx, subject.request())
    inner = script.contexts[0]
    for name in ("method", "path", "request_id", "notes", "events"):
        same = getattr(inner, name) is getattr(ctx, name)
        _hold(same, f"the inner endpoint got a context with another {name}")
    for name, value in before.items():
        _hold(getattr(ctx, name) is value, f"the caller's context was changed: {name}")


def the_inner_is_called_once(subject: Subject) -> None:
    """One call in, one call out, whether it works or fails."""
    if not subject.once:
        return
    script = Script(1, ValueError("no"), 2)
    call = subject.factory()(script)
    for at in (1, 2, 3):
        _quietly(call, subject)
        _hold(len(script.calls) == at, f"call {at} made {len(script.calls)} inner calls in all")


def endpoints_share_only_what_they_were_given(subject: Subject) -> None:
    """Two endpoints under one middleware do not mix, and no captured name is set anew."""
    middleware = subject.factory()
    good, bad = Script(*[_returning("good")] * 50, name="good"), _AlwaysFails()
    wrapped_good, wrapped_bad = middleware(good), middleware(bad)
    captured = _captured(wrapped_good)
    for _ in range(10 if subject.once else 1):
        _quietly(wrapped_bad, subject)
        try:
            answer = wrapped_good(subject.context(), subject.request())
        except Exception as error:
            raise AssertionError("the other endpoint's failure reached this one") from error
        _hold(answer == "good", f"the other endpoint's failure gave this one {answer!r}")
    for name, value in _captured(wrapped_good).items():
        _hold(captured.get(name) is value, f"a call has set the captured name {name!r} anew")


def threads_lose_no_count(subject: Subject) -> None:
    """100 threads at once: each call is made, answered and counted once."""
    made, right = _Tally(), _Tally()
    counted = subject.counted or (lambda: 0)

    def inner(ctx: Context, request: Any) -> Any:
        made.add()
        return request

    call = subject.factory()(inner)
    before = counted()

    def run() -> None:
        for _ in range(_CALLS):
            request = subject.request()
            if call(subject.context(), request) is request:
                right.add()

    threads = [threading.Thread(target=run) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    total = _THREADS * _CALLS
    _hold(right.value == total, f"{total} calls, {right.value} right answers")
    if subject.once:
        _hold(made.value == total, f"{total} calls, {made.value} inner calls")
    if subject.counted is not None:
        _hold(counted() - before == total, f"{total} calls, counted {counted() - before:g}")


def every_kind_of_endpoint_can_be_wrapped(subject: Subject) -> None:
    """Functions, bound methods, callable objects and partials: as a decorator and in a chain."""
    for endpoint, name in kinds_of_endpoint():
        for how, wrapped in (
            ("as a decorator", subject.factory()(endpoint)),
            ("in a chain", chain(subject.factory())(endpoint)),
        ):
            try:
                answer = wrapped(subject.context(), subject.request())
            except TypeError as error:
                raise AssertionError(f"{how} over {name} it does not call by position") from error
            _hold(answer == "answer", f"{how} over {name} it gave {answer!r}")
            _hold(name_of(wrapped) == name, f"{how} the name {name!r} became {name_of(wrapped)!r}")


def name_and_layer_can_be_read(subject: Subject) -> None:
    """``__wrapped__`` leads to the endpoint, and ``layers()`` shows the middleware once."""

    @named("salute")
    def greet(ctx: Context, request: Any) -> str:
        """Say hello."""
        return "hello"

    wrapped = subject.factory()(greet)
    _hold(getattr(wrapped, "__wrapped__", None) is greet, "__wrapped__ is not the inner endpoint")
    _hold(wrapped.__doc__ == "Say hello.", f"its docstring became {wrapped.__doc__!r}")
    _hold(name_of(wrapped) == "salute", f"its name became {name_of(wrapped)!r}")
    found = layers(wrapped)
    _hold(len(found) == 1, f"layers() shows {len(found)}: is @layer(...) on wrap, and only there?")
    twice = layers(chain(subject.factory(), subject.factory())(greet))
    _hold(
        [each.name for each in twice] == [found[0].name] * 2,
        f"twice in a chain, layers() shows {[each.name for each in twice]}",
    )
    again = found[0].apply(greet)
    _hold(layers(again)[0].name == found[0].name, "Layer.apply gives another middleware")


def bad_configuration_raises_when_built(subject: Subject) -> None:
    """`ConfigurationError` by the factory, with a message; never at request time."""
    for at, build in enumerate(subject.misconfigured):
        try:
            build()
        except ConfigurationError as error:
            _hold(len(str(error)) > 10, f"misconfigured[{at}]: {str(error)!r} helps nobody")
        else:
            _hold(False, f"misconfigured[{at}] was accepted")


LAWS: tuple[Callable[[Subject], None], ...] = (
    the_result_comes_back_by_identity,
    an_exception_comes_through_by_identity,
    the_request_is_passed_on_unchanged,
    the_context_stays_one,
    the_inner_is_called_once,
    endpoints_share_only_what_they_were_given,
    threads_lose_no_count,
    every_kind_of_endpoint_can_be_wrapped,
    name_and_layer_can_be_read,
    bad_configuration_raises_when_built,
)
"""The laws one by one, for ``pytest.mark.parametrize``; each takes a `Subject`."""


class _Tally:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.value = 0

    def add(self) -> None:
        with self._lock:
            self.value += 1


class _AlwaysFails:
    def __call__(self, ctx: Context, request: Any) -> Any:
        raise ValueError("bad")


def _returning(value: Any) -> Callable[[Context, Any], Any]:
    return lambda ctx, request: value


def _quietly(call: Callable[[Context, Any], Any], subject: Subject) -> None:
    try:
        call(subject.context(), subject.request())
    except ValueError:
        return


def _captured(call: Callable[..., Any]) -> dict[str, object]:
    code = getattr(call, "__code__", None)
    if code is None:
        return {}
    cells = getattr(call, "__closure__", None) or ()
    return {name: cell.cell_contents for name, cell in zip(code.co_freevars, cells, strict=True)}


def _hold(law: bool, broken: str) -> None:
    if not law:
        raise AssertionError(broken)
