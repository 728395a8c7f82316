"""The laws catch who breaks them: each broken middleware, and the law it falls by."""

import contextlib
import inspect
import threading

import pytest

from falconkit.context import Context
from falconkit.errors import ConfigurationError
from falconkit.layers import Layer, layer
from falconkit.testing import conform_middleware
from falconkit.testing.conform_middleware import LAWS, Subject


def broken(*, name="broken"):
    """Make a middleware of a function ``(next, ctx, request) -> response``."""

    def decorate(body):
        def factory():
            @layer(name)
            def wrap(next, /):
                def call(ctx, request):
                    return body(next, ctx, request)

                return call

            return wrap

        return factory

    return decorate


@broken()
def sound(next, ctx, request):
    return next(ctx, request)


@broken()
def defaults_the_result(next, ctx, request):
    return next(ctx, request) or None


@broken()
def shows_the_result(next, ctx, request):
    result = next(ctx, request)
    f"{result!r}"
    return result


@broken()
def wraps_the_error(next, ctx, request):
    try:
        return next(ctx, request)
    except Exception as error:
        raise RuntimeError("failed") from error


@broken()
def marks_the_error(next, ctx, request):
    try:
        return next(ctx, request)
    except Exception as error:
        raise error from LookupError("why")


@broken()
def swallows_base_exceptions(next, ctx, request):
    try:
        return next(ctx, request)
    except KeyboardInterrupt:
        return None


@broken()
def uses_a_generator(next, ctx, request):
    def inner():
        yield next(ctx, request)

    with contextlib.closing(inner()) as results:
        for result in results:
            return result


@broken()
def copies_the_request(next, ctx, request):
    return next(ctx, dict(request))


@broken()
def changes_the_request(next, ctx, request):
    request["seen"] = True
    return next(ctx, request)


@broken()
def makes_a_context(next, ctx, request):
    return next(Context(ctx.method, ctx.path, ctx.request_id), request)


@broken()
def loses_the_id(next, ctx, request):
    return next(ctx.replace(request_id="mine"), request)


@broken()
def tries_again(next, ctx, request):
    try:
        return next(ctx, request)
    except ValueError:
        return next(ctx, request)


@broken()
def calls_twice(next, ctx, request):
    next(ctx, request)
    return next(ctx, request)


def remembers_the_last_endpoint():
    inner = []

    @layer("broken")
    def wrap(next, /):
        inner.append(next)

        def call(ctx, request):
            return inner[-1](ctx, request)

        return call

    return wrap


def rebinds_a_captured_name():
    @layer("broken")
    def wrap(next, /):
        operation = None

        def call(ctx, request):
            nonlocal operation
            operation = ctx.path + "!"
            return next(ctx, request)

        return call

    return wrap


def breaks_for_all_together():
    failed = []

    @layer("broken")
    def wrap(next, /):
        def call(ctx, request):
            if len(failed) > 3:
                return None
            try:
                return next(ctx, request)
            except ValueError:
                failed.append(next)
                raise

        return call

    return wrap


@broken()
def sets_a_deadline_where_nobody_may(next, ctx, request):
    object.__setattr__(ctx, "deadline", 1.0)
    return next(ctx, request)


def holds_calls_back_together():
    opened = threading.Semaphore(500)

    @layer("broken")
    def wrap(next, /):
        def call(ctx, request):
            if not opened.acquire(blocking=False):
                return None
            return next(ctx, request)

        return call

    return wrap


@broken()
def answers_itself(next, ctx, request):
    return request


def calls_by_keyword():
    @layer("broken")
    def wrap(next, /):
        def call(ctx, request):
            return next(ctx=ctx, request=request)

        return call

    return wrap


def takes_functions_only():
    @layer("broken")
    def wrap(next, /):
        def call(ctx, request):
            return next(ctx, request) if inspect.isfunction(next) else "nothing"

        return call

    return wrap


def names_it_anew():
    @layer("broken")
    def wrap(next, /):
        def call(ctx, request):
            return next(ctx, request)

        call.__endpoint__ = "anew"
        return call

    return wrap


def by_hand(mark=None, *, doc=True):
    """A middleware that does by itself, or leaves, what `layer` does."""

    def factory():
        def wrap(next, /):
            def call(ctx, request):
                return next(ctx, request)

            call.__wrapped__ = next
            call.__doc__ = next.__doc__ if doc else None
            call.__endpoint__ = getattr(next, "__endpoint__", None)
            if mark is not None:
                call.__layer__ = mark
            return call

        return wrap

    return factory


def loses_the_given_name():
    def wrap(next, /):
        def call(ctx, request):
            return next(ctx, request)

        call.__wrapped__ = next
        call.__doc__ = next.__doc__
        return call

    return wrap


def keeps_no_trace():
    def wrap(next, /):
        def call(ctx, request):
            return next(ctx, request)

        return call

    return wrap


RESULT = "the_result_comes_back_by_identity"
EXCEPTION = "an_exception_comes_through_by_identity"
REQUEST = "the_request_is_passed_on_unchanged"
CONTEXT = "the_context_stays_one"
ONCE = "the_inner_is_called_once"
SHARE = "endpoints_share_only_what_they_were_given"
THREADS = "threads_lose_no_count"
KINDS = "every_kind_of_endpoint_can_be_wrapped"
NAME = "name_and_layer_can_be_read"


@pytest.mark.parametrize(
    ("factory", "law", "words"),
    [
        (defaults_the_result, RESULT, "of type int did not come back itself"),
        (shows_the_result, RESULT, "can only be passed on"),
        (wraps_the_error, EXCEPTION, "ValueError came through as another: RuntimeError"),
        (marks_the_error, EXCEPTION, "ValueError was given a cause on its way"),
        (swallows_base_exceptions, EXCEPTION, "KeyboardInterrupt was swallowed"),
        (uses_a_generator, EXCEPTION, "StopIteration came through as another: RuntimeError"),
        (copies_the_request, REQUEST, "another request object"),
        (changes_the_request, REQUEST, "the request was changed: {'v': 1, 'tags': ['a']} to {"),
        (makes_a_context, CONTEXT, "a context with another notes"),
        (loses_the_id, CONTEXT, "a context with another request_id"),
        (sets_a_deadline_where_nobody_may, CONTEXT, "the caller's context was changed: deadline"),
        (tries_again, ONCE, "call 2 made 3 inner calls"),
        (calls_twice, ONCE, "call 1 made 2 inner calls"),
        (answers_itself, ONCE, "call 1 made 0 inner calls"),
        (remembers_the_last_endpoint, SHARE, "the other endpoint's failure reached this one"),
        (breaks_for_all_together, SHARE, "the other endpoint's failure gave this one None"),
        (rebinds_a_captured_name, SHARE, "a call has set the captured name 'operation' anew"),
        (holds_calls_back_together, THREADS, "1000 calls, 500 right answers"),
        (answers_itself, THREADS, "1000 calls, 0 inner calls"),
        (calls_by_keyword, KINDS, "as a decorator over function it does not call by position"),
        (takes_functions_only, KINDS, "as a decorator over answer it gave 'nothing'"),
        (names_it_anew, KINDS, "as a decorator the name 'function' became 'anew'"),
        (keeps_no_trace, NAME, "__wrapped__ is not the inner endpoint"),
        (by_hand(doc=False), NAME, "its docstring became None"),
        (loses_the_given_name, NAME, "its name became 'greet'"),
        (by_hand(), NAME, "layers() shows 0"),
        (by_hand(Layer("hand", by_hand()())), NAME, "twice in a chain, layers() shows ['hand']"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_who_breaks_a_law_is_caught_by_it(factory, law, words):
    (its_law,) = [each for each in LAWS if each.__name__ == law]
    with pytest.raises((AssertionError, RuntimeError)) as raised:
        its_law(Subject(factory))
    assert words in str(raised.value)
    with pytest.raises((AssertionError, RuntimeError, TypeError)):
        conform_middleware(factory)


def test_a_layer_that_applies_something_else_is_caught():
    def factory():
        def wrap(next, /):
            call = by_hand(Layer("hand", sound()))()(next)
            call.__layer__ = Layer("hand", sound())
            return call

        return wrap

    with pytest.raises(AssertionError, match="gives another middleware"):
        conform_middleware(factory)


def test_a_sound_one_passes_every_law():
    conform_middleware(sound)


def test_a_concern_about_calling_otherwise_says_so():
    conform_middleware(tries_again, once=False)


def test_what_it_counts_is_compared():
    lost = [0]

    @broken()
    def counts_half(next, ctx, request):
        lost[0] += 0.5
        return next(ctx, request)

    with pytest.raises(AssertionError, match="1000 calls, counted 500"):
        conform_middleware(counts_half, counted=lambda: lost[0])


def test_what_it_takes_can_be_given():
    @broken()
    def only_numbers(next, ctx, request):
        assert request == 5
        assert ctx.caller == "ann"
        return next(ctx, request)

    conform_middleware(only_numbers, request=lambda: 5, context=lambda: Context(caller="ann"))


def test_bad_configuration_must_be_refused_with_words():
    def refuses():
        raise ConfigurationError("rate must be over 0, got -1")

    def mumbles():
        raise ConfigurationError("10 letters")

    def speaks():
        raise ConfigurationError("eleven long")

    conform_middleware(sound, misconfigured=[refuses, speaks])
    with pytest.raises(AssertionError, match=r"misconfigured\[1\] was accepted"):
        conform_middleware(sound, misconfigured=[refuses, sound])
    with pytest.raises(AssertionError, match=r"misconfigured\[0\]: '10 letters' helps nobody"):
        conform_middleware(sound, misconfigured=[mumbles])
