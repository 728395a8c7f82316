"""Every kind of bad input: a clear 4xx, one line, one count, no token, and the app lives."""

import io
import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconkit import Context, chain
from falconkit.layers import layer
from falconkit.transport import http
from tests.transport.serving import AddRequest, Seen, call, client, environ, make


class Wide(msgspec.Struct):
    v: int
    f: float = 0.0
    name: str = ""
    inner: list[AddRequest] = []
    table: dict[str, int] = {}


def add(ctx: Context, request: AddRequest) -> AddRequest:
    return request


def wide(ctx: Context, request: Wide) -> Wide:
    return request


@pytest.fixture
def seen():
    return Seen()


@pytest.fixture
def tokens():
    return []


@pytest.fixture
def app(tmp_path, seen, tokens):
    def limit():
        @layer("limit")
        def wrap(next, /):
            def call(ctx, request):
                tokens.append(request)
                return next(ctx, request)

            return call

        return wrap

    stack = chain(seen.layer(), limit())
    made = make(tmp_path, observe=seen.layer(), settings={"max_body": 1000})
    made.post("/add", add, stack)
    made.post("/wide", wide, stack)
    return made


def post(app, body, path="/add", **more):
    status, headers, answer = call(app, environ(body=body, path=path, **more))
    return int(status[:3]), answer.decode(), headers


BODIES = [
    (b"", "the body is empty"),
    (b"   ", "the body is empty"),
    (b"{", "JSON is malformed: input data was truncated"),
    (b'{"v":1', "JSON is malformed: input data was truncated"),
    (b"nonsense", "JSON is malformed"),
    (b'{"v":1} x', "JSON is malformed: trailing characters"),
    (b'{"v":01}', "JSON is malformed: invalid number"),
    (b'{"v":"a"}', "$.v: expected int, got str"),
    (b'{"v":null}', "$.v: expected int, got null"),
    (b'{"v":true}', "$.v: expected int, got bool"),
    (b'{"v":1.5}', "$.v: expected int, got float"),
    (b"{}", "$: object missing required field v"),
    (b"[1]", "$: expected object, got array"),
    (b"null", "$: expected object, got null"),
    (b"1", "$: expected object, got int"),
    (b'{"v":NaN}', "JSON is malformed: invalid character"),
    (b'{"v":Infinity}', "JSON is malformed: invalid character"),
    (b'{"v":-Infinity}', "JSON is malformed: invalid"),
    (b'{"v":9223372036854775808}', "$.v: expected an integer of at most 64 bits"),
    (b'{"v":-9223372036854775809}', "$.v: expected an integer of at most 64 bits"),
    (b'{"v":' + b"9" * 100 + b"}", "$.v: expected an integer of at most 64 bits"),
    (b'{"v":1,"x":"\xff"}', "the body is not UTF-8: invalid byte at 12"),
    (b'{"v":1,"\xff":1}', "the body is not UTF-8: invalid byte at 8"),
    (b'{"v":1,"x":"\xed\xa0\x80"}', "the body is not UTF-8"),
    (b'\xef\xbb\xbf{"v":1}', "JSON is malformed: invalid character"),
    ('{"v":1}'.encode("utf-16"), "the body is not UTF-8"),
    (b'{"v":1,"x":"\x01"}', "JSON is malformed: invalid character"),
    (b'{"v":1,"v":"a"}', "$.v: expected int, got str"),
]


@pytest.mark.parametrize(("body", "words"), BODIES)
def test_a_bad_body_is_a_400_that_says_where(app, seen, tokens, body, words):
    status, answer, headers = post(app, body)
    assert (status, answer[: len(words)]) == (400, words)
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert len(headers["x-request-id"]) == 36
    assert [(name, request) for name, request, _ in seen.calls] == [("add", None)]
    assert str(seen.calls[0][2]) == answer
    assert tokens == []
    assert post(app, b'{"v":1}')[:2] == (200, '{"v":1}')


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"v":1,"f":1e400}', "$.f: number out of range"),
        (b'{"v":1,"name":"\\ud800"}', "JSON is malformed"),
        (b'{"v":1,"name":"\xff"}', "the body is not UTF-8"),
        (b'{"v":1,"inner":[{"v":1},{"v":"a"}]}', "$.inner[1].v: expected int, got str"),
        (b'{"v":1,"inner":[{}]}', "$.inner[0]: object missing required field v"),
        (b'{"v":1,"table":{"a":"b"}}', "$.table[...]: expected int, got str"),
        (
            b'{"v":1,"inner":[{"v":1},{"v":9223372036854775808}]}',
            "$.inner[1].v: expected an integer of at most 64 bits",
        ),
        (
            b'{"v":1,"table":{"a":9223372036854775808}}',
            "$.table.a: expected an integer of at most 64 bits",
        ),
    ],
)
def test_the_place_is_named_however_deep(app, body, words):
    status, answer, _ = post(app, body, "/wide")
    assert (status, answer[: len(words)]) == (400, words)


@pytest.mark.parametrize("v", [2**63 - 1, -(2**63), 0])
def test_the_widest_integers_pass(app, v):
    assert json.loads(post(app, b'{"v":%d}' % v)[1]) == {"v": v}


def test_many_digits_that_are_no_integer_pass(app):
    body = b'{"v":1,"f":12345678901234567890123,"name":"12345678901234567890"}'
    assert post(app, body, "/wide")[0] == 200


@pytest.mark.parametrize("opening", [b"[", b'{"v":', b'{"x":['])
@pytest.mark.parametrize("prefix", [b"", b'{"v":1,"x":', b'{"v":1,"inner":'])
def test_nesting_without_end_is_a_400(tmp_path, opening, prefix):
    made = make(tmp_path)
    made.post("/wide", wide)
    assert post(made, prefix + opening * 100_000, "/wide")[0] == 400
    assert post(made, prefix + b"[" * 100_000 + b"]" * 100_000 + b"}", "/wide")[0] == 400
    assert post(made, b'{"v":1}', "/wide")[0] == 200


def test_of_a_name_given_twice_the_last_counts(app):
    assert post(app, b'{"v":1,"v":2}')[1] == '{"v":2}'


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (None, 200),
        ("", 200),
        ("application/json", 200),
        ("application/json; charset=utf-8", 200),
        ("APPLICATION/JSON", 200),
        ("application/x-www-form-urlencoded", 200),
        ("text/plain", 200),
        ("application/octet-stream", 200),
        ("application/vnd.counter+json", 200),
        ("application/xml", 415),
        ("text/xml; charset=utf-8", 415),
        ("multipart/form-data; boundary=x", 415),
        ("application/msgpack", 415),
        ("text/html", 415),
        ("\xff\x00" * 5000, 415),
    ],
)
def test_a_content_type_that_names_another_format_is_a_415(app, seen, kind, status):
    more = {} if kind is None else {"CONTENT_TYPE": kind}
    got, answer, headers = post(app, b'{"v":1}', **more)
    assert got == status
    if status == 415:
        assert answer.startswith("expected application/json, got ")
        assert len(answer) < 200
        assert headers["connection"] == "close"
        assert seen.kinds() == [("add", "UnsupportedMediaType")]


@pytest.mark.parametrize(("coding", "status"), [("gzip", 415), ("identity", 200), ("", 200)])
def test_a_coded_body_is_a_415(app, coding, status):
    assert post(app, b'{"v":1}', HTTP_CONTENT_ENCODING=coding)[0] == status


def test_a_body_over_the_limit_is_a_413(app, seen, tokens):
    status, answer, headers = post(app, b" " * 1001)
    assert (status, answer) == (413, "the body is larger than 1000 bytes")
    assert headers["connection"] == "close"
    assert seen.kinds() == [("add", "BodyTooLarge")]
    assert tokens == []
    assert post(app, b'{"v":1}' + b" " * 993)[0] == 200


def test_a_chunked_body_over_the_limit_is_a_413(app):
    env = environ(
        HTTP_TRANSFER_ENCODING="chunked",
        **{"wsgi.input": io.BytesIO(b" " * 5000), "wsgi.input_terminated": True},
    )
    assert call(app, env)[0] == "413 Request Entity Too Large"
    assert env["wsgi.input"].tell() == 1001


def test_a_body_shorter_than_it_said_is_a_408(app, seen):
    status, answer, headers = post(app, b'{"v":1}', CONTENT_LENGTH="50")
    assert (status, answer) == (408, "the body of 50 bytes ended too soon")
    assert headers["connection"] == "close"
    assert seen.kinds() == [("add", "BodyTimeout")]


@pytest.mark.parametrize("hostile", ['"' * 20, "\x00" * 30, "x" * 10_000, "a\r\nb: c" * 9])
def test_a_hostile_request_id_is_replaced_everywhere(app, seen, hostile):
    for path, body in (("/add", b'{"v":1}'), ("/add", b"{"), ("/nowhere", b"")):
        _, _, headers = post(app, body, path, HTTP_X_REQUEST_ID=hostile)
        assert len(headers["x-request-id"]) == 36
        assert seen.contexts[-1].request_id == headers["x-request-id"]


def test_a_problem_is_told_as_json_to_who_prefers_it(app):
    _, answer, headers = post(app, b'{"v":"a"}', HTTP_ACCEPT="application/json")
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(answer) == {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": "$.v: expected int, got str",
        "code": "decode_error",
        "where": "$.v",
    }


ANY_TEXT = st.text(st.characters(max_codepoint=255), max_size=300)


@settings(max_examples=300, deadline=None)
@given(body=st.one_of(st.binary(max_size=300), st.text(max_size=100).map(lambda t: t.encode())))
def test_no_bytes_give_a_500(body):
    app = shared_app()
    status, _, _ = post(app, body, "/wide")
    assert status in (200, 400)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["v", "f", "name", "inner", "table"]) | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=300, deadline=None)
@given(value=JSON_VALUES, ascii_only=st.booleans())
def test_no_json_gives_a_500(value, ascii_only):
    body = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    status, answer, _ = post(shared_app(), body, "/wide")
    assert status in (200, 400), answer


@settings(max_examples=300, deadline=None)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD", "OPTIONS", "FOO", "WEBSOCKET", ""]),
    path=st.sampled_from(["/wide", "/item/1", "/item/", "/", "", "*", "/debug/vars"])
    | ANY_TEXT.map(lambda t: "/" + t),
    query=ANY_TEXT,
    headers=st.dictionaries(
        st.sampled_from(
            [
                "CONTENT_TYPE",
                "CONTENT_LENGTH",
                "HTTP_ACCEPT",
                "HTTP_X_REQUEST_ID",
                "HTTP_X_FORWARDED_FOR",
                "HTTP_X_REQUEST_START",
                "HTTP_TRANSFER_ENCODING",
                "HTTP_CONTENT_ENCODING",
                "HTTP_HOST",
                "HTTP_COOKIE",
            ]
        ),
        ANY_TEXT,
    ),
    body=st.binary(max_size=50),
)
def test_no_request_gives_a_500(method, path, query, headers, body):
    env = environ(method, path, body, QUERY_STRING=query) | headers
    status, answer_headers, _ = call(shared_app(), env)
    assert int(status[:3]) < 500, (status, env)
    assert 20 <= len(answer_headers["x-request-id"]) <= 200


@settings(max_examples=200, deadline=None)
@given(query=st.dictionaries(st.sampled_from(["limit", "tags", "flag", "x"]), ANY_TEXT))
def test_no_query_gives_a_500(query):
    text = "&".join(f"{name}={value}" for name, value in query.items())
    status, _, _ = call(shared_app(), environ("GET", "/item/5", QUERY_STRING=text))
    assert status[:3] in ("200", "400")


class Item(msgspec.Struct):
    id: int
    limit: int = 10
    tags: list[str] = []
    flag: bool = False


def item(ctx: Context, request: Item) -> Item:
    return request


_APPS: list[http.App] = []


def shared_app() -> http.App:
    # hypothesis calls a test many times: one app serves them all.
    if not _APPS:
        import tempfile

        made = make(__import__("pathlib").Path(tempfile.mkdtemp()), settings={"trusted_hops": 1})
        made.post("/wide", wide)
        made.get("/item/{id}", item)
        _APPS.append(made)
    return _APPS[0]


def test_the_test_client_sees_the_same(app):
    assert client(app).simulate_post("/add", body='{"v":"a"}').text == "$.v: expected int, got str"
