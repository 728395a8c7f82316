"""A request is Falcon's whole one, though it is filled when something asks for that."""

import falcon
import pytest

from falconkit.transport.http import Request
from falconkit.transport.http.request import BodyLimits, request_of
from tests.transport.serving import environ

LATE = sorted({*falcon.Request.__slots__} - {"__dict__", "env"})
OPTIONS = falcon.RequestOptions()


def ours(env, **more):
    return request_of(env, OPTIONS, BodyLimits(), more)


def theirs(env):
    return Request(env, OPTIONS)


@pytest.mark.parametrize("make", [ours, theirs])
@pytest.mark.parametrize("name", LATE)
def test_each_attribute_is_falcon_s(make, name):
    env = environ(QUERY_STRING="v=1&w=2", CONTENT_TYPE="application/json")
    plain, request = falcon.Request(env, OPTIONS), make(env)
    if name == "context":
        assert type(request.context) is type(plain.context)
    else:
        assert getattr(request, name) == getattr(plain, name)
    assert request.get_param("v") == "1"


def test_falcon_keeps_all_in_slots():
    """Else what it keeps besides would be missing until a slot is asked for."""
    assert vars(falcon.Request(environ(), OPTIONS)) == {}


@pytest.mark.parametrize("make", [ours, theirs])
def test_what_is_set_on_it_stays(make):
    request = make(environ())
    request.method = "PUT"
    request.uri_template = "/add"
    request.found = True
    assert (request.method, request.uri_template, request.found) == ("PUT", "/add", True)
    assert request.path == "/add"


@pytest.mark.parametrize("make", [ours, theirs])
def test_what_is_ours_stays_when_it_is_filled(make):
    request = make(environ(body=b"{}", CONTENT_LENGTH="2"))
    request.limits = BodyLimits(3)
    assert request.read_body() == b"{}"
    assert request.content_length == 2
    assert (request.limits.max_body, request.was_read()) == (3, True)
    assert isinstance(request, Request)


def test_what_is_not_there_is_said():
    request = ours(environ())
    with pytest.raises(AttributeError, match="colour"):
        _ = request.colour
    assert not hasattr(request, "colour")


def test_parameters_of_the_path_are_there():
    assert ours(environ(), id=7).path_params == {"id": 7}
