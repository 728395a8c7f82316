import functools
from typing import Any

import msgspec
import pytest

from falconkit import Context, chain, named
from falconkit.errors import ConfigurationError
from falconkit.layers import layer
from falconkit.transport.http import Server, infer


class Add(msgspec.Struct):
    v: int


def add(ctx: Context, request: Add) -> int:
    return request.v


def unannotated(ctx, request):
    return request


def watched():
    @layer("watch")
    def wrap(next, /):
        def call(ctx, request):
            return next(ctx, request)

        return call

    return wrap


class Service:
    def add(self, ctx: Context, request: Add) -> int:
        return request.v

    def __call__(self, ctx: Context, request: Add) -> str:
        return ""

    @staticmethod
    def fixed(ctx: Context, request: Add) -> int:
        return 0

    @classmethod
    def made(cls, ctx: Context, request: Add) -> int:
        return 0


def configured(step: int, ctx: Context, request: Add) -> float:
    return 0.0


@pytest.mark.parametrize(
    ("endpoint", "response"),
    [
        (add, int),
        (Service().add, int),
        (Service(), str),
        (Service.fixed, int),
        (Service.made, int),
        (functools.partial(configured, 1), float),
        (named("other")(add), int),
        (chain(watched(), watched())(add), int),
        (chain(watched())(Service().add), int),
        (chain(watched())(Service()), str),
        (chain(watched())(functools.partial(configured, 1)), float),
    ],
)
def test_types_are_found_whatever_the_endpoint_is(endpoint, response):
    assert infer.types_of(endpoint) == (Add, response)


def test_strings_and_closures_are_resolved():
    class Local(msgspec.Struct):
        v: int

    def make():
        def endpoint(ctx: Context, request: "Local") -> "Local":
            return Local(request.v)

        return endpoint

    assert infer.request_type(make()) is Local


def test_a_local_type_that_cannot_be_found_is_refused():
    def endpoint(ctx: Context, request: "Nowhere") -> None:  # noqa: F821
        pass

    with pytest.raises(ConfigurationError, match=r"'endpoint'.*Nowhere.*decode="):
        Server(endpoint)


@pytest.mark.parametrize("endpoint", [unannotated, lambda ctx, request: 1])
def test_an_endpoint_without_annotations_is_refused(endpoint):
    with pytest.raises(ConfigurationError, match=r"does not say the type.*decode="):
        Server(endpoint)


def test_any_and_object_say_nothing():
    def anything(ctx: Context, request: Any) -> None:
        pass

    def whatever(ctx: Context, request: object) -> None:
        pass

    for endpoint in (anything, whatever):
        with pytest.raises(ConfigurationError, match="does not say the type"):
            Server(endpoint)


def test_a_function_of_another_shape_is_refused():
    def single(request: Add) -> int:
        return 1

    with pytest.raises(ConfigurationError, match=r"'single' takes \(request\)"):
        Server(single)


def test_what_has_no_signature_is_refused():
    with pytest.raises(ConfigurationError, match="decode="):
        Server(dict)


class Odd:
    pass


class Other(msgspec.Struct):
    v: int


@pytest.mark.parametrize("kind", [Odd, Add | Other])
def test_a_type_that_msgspec_cannot_decode_is_refused(kind):
    def endpoint(ctx, request):
        pass

    endpoint.__annotations__["request"] = kind
    with pytest.raises(ConfigurationError, match=r"cannot be decoded .*decode="):
        Server(endpoint)


def test_with_a_decoder_nothing_is_inferred():
    Server(unannotated, decode=lambda ctx, request: 1)


def test_annotations_that_are_no_types_are_refused():
    def endpoint(ctx, request):
        pass

    endpoint.__annotations__["request"] = 5
    with pytest.raises(ConfigurationError, match=r"decode="):
        Server(endpoint)
