"""Requests into path, query and body."""

import datetime
import enum
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit import Context
from falconkit.errors import ConfigurationError
from falconkit.transport.http.client_target import Target
from falconkit.transport.http.client_wire import Headers, Outgoing, json_encode

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


class Page(msgspec.Struct, rename="camel"):
    user_id: int
    page_size: int | None = None
    tags: list[str] = []


def encoded(method, url, request):
    target = Target(url)
    outgoing = json_encode(method, target)(Context(), request)
    return target.fill(outgoing.path, outgoing.query), outgoing.body


@pytest.mark.parametrize(
    ("method", "path", "request_", "target", "body"),
    [
        ("POST", "/", 5, "/", b"5"),
        ("POST", "/", None, "/", b"null"),
        ("POST", "/", [1], "/", b"[1]"),
        ("POST", "/{userId}", Page(7, 2), "/7", b'{"pageSize":2,"tags":[]}'),
        ("PUT", "/{a}/{b}", {"a": 1, "b": 2, "c": 3}, "/1/2", b'{"c":3}'),
        ("PUT", "/{id}", 5, "/5", b""),
        ("GET", "/{id}", "x", "/x", b""),
        ("GET", "/", None, "/", b""),
        ("GET", "/", {}, "/", b""),
        ("GET", "/{userId}", Page(7, 2, ["a", "b"]), "/7?pageSize=2&tags=a&tags=b", b""),
        ("GET", "/{userId}", Page(7), "/7", b""),
        ("DELETE", "/", {"a": True, "b": False, "c": 1.5}, "/?a=true&b=false&c=1.5", b""),
        ("HEAD", "/", {"day": datetime.date(2024, 5, 1)}, "/?day=2024-05-01", b""),
        ("OPTIONS", "/?fixed=1", {"a": ""}, "/?fixed=1&a=", b""),
        ("GET", "/", {"a": enum.Enum("E", {"B": "b"}).B}, "/?a=b", b""),
        ("GET", "/a%20b/{id}/~", "é", "/a%20b/%C3%A9/~", b""),
        ("GET", "", None, "/", b""),
        ("GET", "?a=1", None, "/?a=1", b""),
    ],
)
def test_where_fields_go(method, path, request_, target, body):
    assert encoded(method, f"http://x{path}", request_) == (target, body)


def test_json_says_that_it_is():
    for url in ("http://x/", "http://x/{a}"):
        outgoing = json_encode("POST", Target(url))(Context(), {"a": 1})
        assert outgoing.headers == {"Content-Type": "application/json"}
    assert json_encode("GET", Target("http://x/"))(Context(), {"a": 1}).headers == {}


@pytest.mark.parametrize("value", ["", ".", "..", None, [1], {"a": 1}])
def test_a_value_that_would_name_another_path_is_refused(value):
    with pytest.raises((TypeError, ValueError), match=r"\{id\}"):
        encoded("GET", "http://x/{id}/notes", {"id": value})


def test_a_value_that_is_missing_is_named():
    with pytest.raises(TypeError, match=r"a value for \{id\}, got None"):
        encoded("POST", "http://x/{id}", {"other": 1})


def test_an_object_is_no_query():
    with pytest.raises(TypeError, match=r"'where' cannot be \{'a': 1\}"):
        encoded("GET", "http://x/", {"where": {"a": 1}})


@pytest.mark.parametrize(
    ("method", "path", "what"),
    [
        ("GET", "/", "the query"),
        ("POST", "/{a}/{b}", r"\['a', 'b'\]"),
        ("GET", "/{a}/{b}", r"\['a', 'b'\]"),
    ],
)
def test_what_has_no_fields_cannot_fill_them(method, path, what):
    with pytest.raises(TypeError, match=f"a int has no fields for {what}: give an encode="):
        encoded(method, f"http://x{path}", 5)


@given(TEXT.filter(lambda text: text not in ("", ".", "..")))
def test_any_text_is_one_segment(text):
    target = Target("http://x/a/{id}/b").fill({"id": text}, {})
    assert target.isascii()
    assert target.count("/") == 3
    assert unquote(target.split("/")[2]) == text


@given(st.dictionaries(TEXT.filter(bool), st.one_of(TEXT, st.lists(TEXT))))
def test_any_query_can_be_read_again(query):
    target = Target("http://x/").fill({}, query)
    pairs = [
        (name, each)
        for name, value in query.items()
        for each in (value if isinstance(value, list) else [value])
    ]
    assert target.isascii()
    assert " " not in target
    assert parse_qsl(urlsplit(target).query, keep_blank_values=True) == pairs


@given(st.integers(), st.floats(allow_nan=False), st.booleans())
def test_numbers_come_back(integer, number, flag):
    query = dict(
        parse_qsl(
            urlsplit(Target("http://x").fill({}, {"i": integer, "f": number, "b": flag})).query
        )
    )
    assert (int(query["i"]), float(query["f"]), query["b"]) == (integer, number, str(flag).lower())


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("http://x", "http://x:80"),
        ("https://x", "https://x:443"),
        ("http://X:8000/a", "http://x:8000"),
        ("http://[::1]:8000/a", "http://[::1]:8000"),
        ("http://web.app.app.localspace/", "http://web.app.app.localspace:80"),
        ("http://a_b-c.d", "http://a_b-c.d:80"),
    ],
)
def test_origins(url, origin):
    assert str(Target(url).origin) == origin


def test_port_zero_is_no_port():
    with pytest.raises(ConfigurationError, match="http://x:0/"):
        Target("http://x:0/")


def test_names_of_headers_are_the_same_in_any_case():
    headers = Headers({"x-request-id": "a", "ACCEPT": "b"})
    headers["X-REQUEST-ID"] = "c"
    assert dict(headers) == {"X-Request-Id": "c", "Accept": "b"}
    assert headers["accept"] == "b"
    assert "aCCept" in headers
    del headers["accept"]
    assert (len(headers), list(headers)) == (1, ["X-Request-Id"])
    assert headers.get("accept") is None


def test_values_of_headers_are_not_shown():
    assert repr(Headers({"authorization": "secret"})) == "Headers(Authorization)"


def test_requests_share_no_headers():
    Outgoing().headers["a"] = "b"
    assert Outgoing().headers == {}
