"""The laws catch who breaks them: each broken middleware, and the law it falls by."""

import contextlib
import functools
import threading

import pytest

from falconkit.context import Context
from falconkit.endpoint import layer
from falconkit.errors import ConfigurationError
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


def calls_by_keyword():
    @layer("broken")
    def wrap(next, /):
        def call(ctx, request):
            return next(ctx=ctx, request=request)

        return call

    return wrap


def has_no_layer():
    def wrap(next, /):
        @functools.wraps(next)
        def call(ctx, request):
            return next(ctx, request)

        return call

    return wrap


def has_no_name():
    def wrap(next, /):
        def call(ctx, request):
            return next(ctx, request)

        return call

    return wrap


@pytest.mark.parametrize(
    ("factory", "law"),
    [
        (defaults_the_result, "the_result_comes_back_by_identity"),
        (shows_the_result, "the_result_comes_back_by_identity"),
        (wraps_the_error, "an_exception_comes_through_by_identity"),
        (marks_the_error, "an_exception_comes_through_by_identity"),
        (swallows_base_exceptions, "an_exception_comes_through_by_identity"),
        (uses_a_generator, "an_exception_comes_through_by_identity"),
        (copies_the_request, "the_request_is_passed_on_unchanged"),
        (changes_the_request, "the_request_is_passed_on_unchanged"),
        (makes_a_context, "the_context_stays_one"),
        (loses_the_id, "the_context_stays_one"),
        (tries_again, "the_inner_is_called_once"),
        (calls_twice, "the_inner_is_called_once"),
        (remembers_the_last_endpoint, "endpoints_share_only_what_they_were_given"),
        (rebinds_a_captured_name, "endpoints_share_only_what_they_were_given"),
        (holds_calls_back_together, "threads_lose_no_count"),
        (calls_by_keyword, "every_kind_of_endpoint_can_be_wrapped"),
        (has_no_layer, "name_and_layer_can_be_read"),
        (has_no_name, "name_and_layer_can_be_read"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_who_breaks_a_law_is_caught_by_it(factory, law):
    (its_law,) = [each for each in LAWS if each.__name__ == law]
    with pytest.raises((AssertionError, RuntimeError)):
        its_law(Subject(factory))
    with pytest.raises((AssertionError, RuntimeError, TypeError)):
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
        raise ConfigurationError("no")

    conform_middleware(sound, misconfigured=[refuses])
    with pytest.raises(AssertionError, match=r"misconfigured\[1\] was accepted"):
        conform_middleware(sound, misconfigured=[refuses, sound])
    with pytest.raises(AssertionError, match=r"misconfigured\[0\]: 'no' helps nobody"):
        conform_middleware(sound, misconfigured=[mumbles])
