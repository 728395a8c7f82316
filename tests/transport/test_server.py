"""Server: one endpoint as a Falcon resource, in a plain Falcon app and in ours."""

import dataclasses
import json
import logging
from typing import TypedDict

import falcon
import msgspec
import pytest
from falcon.testing import TestClient

from falconkit import Context, chain, current, errors
from falconkit.errors import ConfigurationError, Failed
from falconkit.layers import layer
from falconkit.ratelimit.decision import Decision
from falconkit.testing import ManualClock, Script
from falconkit.transport import http
from falconkit.transport.http import Answer, Finished, Reply, Request, Server, json_decoder
from falconkit.transport.http.host import Host
from falconkit.transport.http.routes import Route
from tests.transport.serving import AddRequest, Seen, call, environ, make


def take(ctx, request):
    return 1


def plain(server, path="/add"):
    app = falcon.App()
    app.add_route(path, server)
    return app


def ours(server, path="/add"):
    """The same server in an app of ours, which takes its shorter way."""
    made = http.App(server._host, metrics=None, observe=chain())
    route = Route(path, lambda req: None)
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        route.add(method, server)
    falcon.App.add_route(made, path, route)
    made._fast[path] = made._routes[path] = route
    return made


@pytest.fixture(params=[plain, ours], ids=["falcon", "app"])
def mount(request):
    return request.param


def fixed(value=None):
    return {"decode": lambda ctx, request: value}


def send(app, **more):
    return call(app, environ(body=b'{"v":1}', **more))


def test_a_plain_value_is_a_200_of_json(mount):
    def add(ctx: Context, request: AddRequest) -> AddRequest:
        return AddRequest(request.v + 1)

    status, headers, body = send(mount(Server(add)), HTTP_X_REQUEST_ID="i" * 20)
    assert (status, body) == ("200 OK", b'{"v":2}')
    assert headers == {
        "content-type": "application/json",
        "content-length": "7",
        "x-request-id": "i" * 20,
    }


def test_any_method_is_served(mount):
    app = mount(Server(Script(*range(5)), **fixed()))
    for at, method in enumerate(("GET", "POST", "PUT", "PATCH", "DELETE")):
        assert call(app, environ(method))[2] == b"%d" % at


def test_nothing_is_a_204_without_a_body(mount):
    status, headers, body = send(mount(Server(Script(None), **fixed())))
    assert (status, body) == ("204 No Content", b"")
    assert set(headers) == {"x-request-id"}


def test_an_answer_has_its_own_status_and_headers(mount):
    answer = Answer({"id": 7}, 201, {"Location": "/users/7"})
    status, headers, body = send(mount(Server(Script(answer), **fixed())))
    assert (status, body) == ("201 Created", b'{"id":7}')
    assert headers["location"] == "/users/7"
    assert headers["content-type"] == "application/json"


def test_an_answer_can_have_another_type_and_null(mount):
    answer = Answer(None, 200, [("content-type", "application/hal+json")])
    _, headers, body = send(mount(Server(Script(answer), **fixed())))
    assert (headers["content-type"], body) == ("application/hal+json", b"null")


def test_an_answer_without_a_body(mount):
    status, headers, body = send(mount(Server(Script(Answer("x", 204, {"X-A": "b"})), **fixed())))
    assert (status, body, headers["x-a"]) == ("204 No Content", b"", "b")
    assert "content-type" not in headers


def test_a_route_can_have_another_status(mount):
    server = Server(Script({"id": 1}, None), status=202, **fixed())
    assert send(mount(server))[0] == "202 Accepted"
    status, headers, body = send(mount(server))
    assert (status, body, headers["content-length"]) == ("202 Accepted", b"", "0")


@pytest.mark.parametrize(
    "answer",
    [
        Answer(1, 99),
        Answer(1, 600),
        Answer(1, 100),
        Answer(1, 200, {"X-A": "b\r\nSet-Cookie: c=d"}),
        Answer(1, 200, {"X-A\n": "b"}),
        Answer(1, 200, {"X-\xe9": "b"}),
        Answer(1, 200, {"X-A": "\u2603"}),
        Answer(object()),
        object(),
        {(1, 2): 3},
        "\ud800",
    ],
)
def test_what_cannot_be_sent_is_a_500_before_anything_is(mount, answer, caplog):
    status, headers, body = send(mount(Server(Script(answer), **fixed())))
    assert (status, body) == ("500 Internal Server Error", b"internal server error")
    assert "set-cookie" not in headers
    assert len(caplog.records) == 1


def test_an_encoder_may_return_bytes_or_a_whole_reply(mount):
    def csv(ctx, rows):
        return Reply(200, [("Content-Type", "text/csv")], b"a,b")

    status, headers, body = send(mount(Server(Script([1]), encode=csv, **fixed())))
    assert (status, headers["content-type"], body) == ("200 OK", "text/csv", b"a,b")
    twice = Server(Script(2), encode=lambda ctx, n: b"%d" % (2 * n), **fixed())
    assert send(mount(twice))[2] == b"4"


def test_an_answer_with_an_encoder_adds_to_its_reply(mount):
    def encode(ctx, value):
        return Reply(203, [("Content-Type", "text/csv")], value)

    server = Server(Script(Answer(b"x", 201, {"X-A": "b"}), Answer(b"x")), encode=encode, **fixed())
    status, headers, body = send(mount(server))
    assert (status[:3], headers["content-type"], headers["x-a"]) == ("201", "text/csv", "b")
    assert (send(mount(server))[0][:3], body) == ("203", b"x")


def test_what_is_called_and_in_which_order(mount):
    order = []

    def before(word):
        def extract(request, ctx):
            order.append(word)
            return ctx.replace(caller=ctx.caller + word)

        return extract

    def decode(ctx, request):
        order.append(f"decode {ctx.caller}")
        return request.read_body()

    def endpoint(ctx, request):
        order.append(f"endpoint {ctx.caller} {request!r}")
        return 1

    def encode(ctx, value):
        order.append("encode")
        return b"x"

    def after(word):
        def change(ctx, reply):
            order.append(word)
            reply.headers.append(("Vary", word))

        return change

    server = Server(
        endpoint,
        decode=decode,
        encode=encode,
        before=(before("1"), before("2")),
        after=(after("3"), lambda ctx, reply: Reply(202, reply.headers, reply.body)),
        finalizers=(lambda ctx, finished: order.append(f"final {ctx.caller}"),),
    )
    status, headers, body = send(mount(server), REMOTE_ADDR="me")
    assert order == [
        "1",
        "2",
        "decode me12",
        "endpoint me12 b'{\"v\":1}'",
        "encode",
        "3",
        "final me12",
    ]
    assert (status, headers["vary"], body) == ("202 Accepted", "3", b"x")


def test_after_does_not_run_on_errors(mount):
    ran = []
    server = Server(Script(Failed("no")), after=(lambda ctx, reply: ran.append(1),), **fixed())
    assert send(mount(server))[0][:3] == "409"
    assert ran == []


def test_after_may_fail(mount, caplog):
    server = Server(Script(1), after=(lambda ctx, reply: 1 / 0,), **fixed())
    assert send(mount(server))[0][:3] == "500"


class Sold(Failed):
    status = 410


class Result:
    def __init__(self, failure):
        self.failure = failure

    def failed(self):
        return self.failure


@pytest.mark.parametrize(
    ("failure", "status", "words"),
    [
        (Failed("the total is full"), "409 Conflict", b"the total is full"),
        (ValueError("full"), "409 Conflict", b"full"),
        (Sold("sold"), "410 Gone", b"sold"),
        (errors.Forbidden("not yours"), "403 Forbidden", b"not yours"),
    ],
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_a_failer_is_its_failure(mount, failure, status, words, wrapped):
    result = Result(failure)
    server = Server(Script(Answer(result, 201) if wrapped else result), **fixed())
    got, _, body = send(mount(server))
    assert (got, body) == (status, words)


def test_a_failer_that_did_not_fail_is_encoded(mount):
    server = Server(Script(Result(None)), encode=lambda ctx, result: b"fine", **fixed())
    assert send(mount(server))[2] == b"fine"


@pytest.mark.parametrize(
    ("error", "status", "header"),
    [
        (errors.RateLimited(retry_after=1.5), 429, ("retry-after", "2")),
        (errors.CircuitOpen(retry_after=3), 503, ("retry-after", "3")),
        (errors.Unauthenticated(challenge="Basic"), 401, ("www-authenticate", "Basic")),
        (falcon.HTTPGone(headers={"X-A": "b"}), 410, ("x-a", "b")),
        (falcon.HTTPTooManyRequests(retry_after=9), 429, ("retry-after", "9")),
        (falcon.HTTPMovedPermanently("/there"), 301, ("location", "/there")),
        (falcon.HTTPStatus(204, headers={"X-A": "b"}), 204, ("x-a", "b")),
    ],
)
def test_an_error_is_answered_by_the_table_and_falcons_keep_their_own(
    mount, error, status, header, caplog
):
    got, headers, _ = send(mount(Server(Script(error), **fixed())))
    assert int(got[:3]) == status
    assert headers[header[0]] == header[1]
    assert caplog.records == []


def test_falcons_error_has_its_description(mount):
    error = falcon.HTTPConflict(title="t", description="it is taken")
    server = Server(Script(error, error), **fixed())
    assert send(mount(server))[2] == b"it is taken"
    _, _, body = send(mount(server), HTTP_ACCEPT="application/json")
    assert json.loads(body) == {
        "type": "about:blank",
        "title": "Conflict",
        "status": 409,
        "detail": "it is taken",
        "code": "http_error",
    }


@pytest.mark.parametrize("where", ["before", "decode", "endpoint", "encode"])
def test_what_nobody_foresaw_is_a_500_with_one_traceback_and_no_words(mount, where, caplog):
    def burst(*_):
        raise KeyError("hunter2")

    parts = {"decode": lambda ctx, request: 1, "before": (), "encode": None} | {
        where: (burst,) if where == "before" else burst
    }
    endpoint = parts.pop("endpoint", take)
    caplog.set_level(logging.INFO)
    status, _, body = send(mount(Server(endpoint, **parts)), HTTP_X_REQUEST_ID="i" * 20)
    assert (status, body) == ("500 Internal Server Error", b"internal server error")
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("falconkit.http", "ERROR")
    assert record.getMessage() == f"POST /add failed, request id {'i' * 20}"
    assert record.exc_info[0] is KeyError


def test_the_traceback_is_logged_within_the_request(mount):
    within = []

    class Handler(logging.Handler):
        def emit(self, record):
            within.append(current.get().request_id)

    logger = logging.getLogger("falconkit.http")
    handler = Handler()
    logger.addHandler(handler)
    try:
        send(mount(Server(Script(KeyError), **fixed())), HTTP_X_REQUEST_ID="i" * 20)
    finally:
        logger.removeHandler(handler)
    assert within == ["i" * 20]


def test_an_error_encoder_of_ones_own(mount, caplog):
    def encode_error(ctx, error, request):
        return Reply(418, [("X-Path", request.path)], type(error).__name__.encode())

    server = Server(Script(ValueError("x")), encode_error=encode_error, **fixed())
    status, headers, body = send(mount(server))
    assert (status[:3], headers["x-path"], body) == ("418", "/add", b"ValueError")


@pytest.mark.parametrize("bad", [lambda *a: 1 / 0, lambda *a: Reply(999, [], b"")])
def test_an_error_encoder_that_fails_is_a_500(mount, bad, caplog):
    server = Server(Script(Failed("x")), encode_error=bad, **fixed())
    assert send(mount(server))[0][:3] == "500"
    assert len(caplog.records) == 1


class Fatal(BaseException):
    pass


def test_a_base_exception_goes_through_and_leaves_nothing_behind():
    told = []
    host = Host(clock=ManualClock())
    server = Server(
        Script(Fatal()), host=host, finalizers=(lambda ctx, f: told.append(f),), **fixed()
    )
    with pytest.raises(Fatal):
        send(plain(server))
    assert told == [Finished(500, 0, 0.0)]
    assert current.get() is None
    assert host.in_flight == {}


def test_the_context_is_current_during_the_call_and_not_after(mount):
    seen = []

    def look(what):
        def see(*_):
            seen.append((what, current.get().request_id, current.get().caller))
            return what

        return see

    def extract(request, ctx):
        look("before")()
        return ctx.replace(caller="ann")

    server = Server(
        look("endpoint"),
        before=(extract, lambda request, ctx: (look("then")(), ctx)[1]),
        decode=look("decode"),
        encode=lambda ctx, value: (look("encode")(), b"x")[1],
        finalizers=(look("final"),),
    )
    send(mount(server), HTTP_X_REQUEST_ID="i" * 20, REMOTE_ADDR="9.9.9.9")
    callers = {what: caller for what, _, caller in seen}
    assert {id for _, id, _ in seen} == {"i" * 20}
    assert callers == {
        "before": "9.9.9.9",
        "then": "ann",
        "decode": "ann",
        "endpoint": "ann",
        "encode": "ann",
        "final": "ann",
    }
    assert current.get() is None


def streaming(chunks, **more):
    return Server(
        take, encode=lambda ctx, value: Reply(200, [("X-A", "b")], chunks), **fixed(), **more
    )


def test_a_stream_is_sent_as_it_comes_each_chunk_within_the_request(mount):
    seen = []

    def chunks():
        for chunk in (b"a", b"bc", b""):
            seen.append(current.get().request_id)
            yield chunk

    status, headers, body = send(mount(streaming(chunks())), HTTP_X_REQUEST_ID="i" * 20)
    assert (status, body, headers["x-a"]) == ("200 OK", b"abc", "b")
    assert "content-length" not in headers
    assert seen == ["i" * 20] * 3
    assert current.get() is None


def test_finalizers_run_when_the_body_is_closed_and_know_what_was_sent(mount):
    clock = ManualClock()
    told = []

    def chunks():
        yield b"abc"
        clock.advance(2.0)
        yield b"de"

    def finalizer(ctx, finished):
        told.append((ctx.request_id, finished))

    server = streaming(chunks(), host=Host(clock=clock), finalizers=(finalizer, finalizer))
    body = mount(server)(environ(HTTP_X_REQUEST_ID="i" * 20), lambda *_: None)
    assert list(body) == [b"abc", b"de"]
    assert told == []
    clock.advance(1.0)
    body.close()
    body.close()
    assert told == [("i" * 20, Finished(200, 5, 3.0))] * 2


def test_finalizers_run_for_a_whole_body_too(mount):
    told = []
    server = Server(
        Script(1, Failed("no"), None), finalizers=(lambda ctx, f: told.append(f),), **fixed()
    )
    app = mount(server)
    _, headers, _ = send(app)
    assert headers["content-length"] == "1"
    send(app)
    send(app)
    assert [(f.status, f.sent) for f in told] == [(200, 1), (409, 2), (204, 0)]


def test_finalizers_see_a_head_whose_stream_is_closed_unread(mount):
    told, closed = [], []

    class Stream:
        def __iter__(self):
            raise AssertionError("nobody reads it")

        def close(self):
            closed.append(1)

    class Lazy(Stream):
        def __iter__(self):
            return iter(())

    server = streaming(Lazy(), finalizers=(lambda ctx, f: told.append(f),))
    app = falcon.App()
    route = type("Route", (), {"on_head": lambda self, req, resp: server.respond(req, resp)})()
    app.add_route("/add", route)
    _, _, body = call(app, environ("HEAD"))
    assert (body, closed, [f.sent for f in told]) == (b"", [1], [0])


def test_a_finalizer_that_fails_is_logged_and_the_others_run(mount, caplog):
    told = []
    server = Server(
        Script(1), finalizers=(lambda *_: 1 / 0, lambda ctx, f: told.append(f.status)), **fixed()
    )
    assert send(mount(server))[0] == "200 OK"
    assert told == [200]
    assert "the finalizer" in caplog.text


def test_a_stream_that_breaks_is_logged_and_cuts_the_answer(mount, caplog):
    told = []

    def chunks():
        yield b"abc"
        raise KeyError("gone")

    server = streaming(chunks(), finalizers=(lambda ctx, f: told.append(f.sent),))
    with pytest.raises(KeyError):
        send(mount(server), HTTP_X_REQUEST_ID="i" * 20)
    assert told == [3]
    assert f"broke off after 3 bytes, request id {'i' * 20}" in caplog.text


DECISION = Decision(True, 10, 3, 0.0, 4.2, "add", 20.0)


@pytest.mark.parametrize("outcome", [1, errors.RateLimited(retry_after=2.0), KeyError("x")])
def test_what_a_limiter_noted_is_told_whatever_the_outcome(mount, outcome, caplog):
    def noting(ctx, request):
        ctx.notes.leave("something else")
        ctx.notes.leave(DECISION)
        return Script(outcome)(ctx, request)

    _, headers, _ = send(mount(Server(noting, **fixed())))
    assert headers["ratelimit-policy"] == '"add";q=10;w=20'
    assert headers["ratelimit"] == '"add";r=3;t=5'


def test_without_a_limiter_nothing_is_told(mount):
    _, headers, _ = send(mount(Server(Script(1), **fixed())))
    assert "ratelimit" not in headers


def test_a_refused_body_meets_the_observing_layers_only(mount):
    seen, met = Seen(), []

    @layer("limit")
    def limit(next, /):
        def call(ctx, request):
            met.append(request)
            return next(ctx, request)

        return call

    @chain(seen.layer(), limit, seen.layer())
    def add(ctx: Context, request: AddRequest) -> int:
        return 1

    status, _, _ = call(mount(Server(add)), environ(body=b"{"))
    assert (status[:3], met) == ("400", [])
    assert seen.kinds() == [("add", "DecodeError")] * 2
    assert [request for _, request, _ in seen.calls] == [None, None]


def test_what_an_extractor_refuses_is_observed_too(mount):
    seen = Seen()

    def deny(request, ctx):
        raise errors.Unauthenticated

    server = Server(seen.layer()(Script(1, name="add")), before=(deny,), **fixed())
    status, headers, _ = send(mount(server))
    assert (status[:3], headers["www-authenticate"]) == ("401", "Bearer")
    assert seen.kinds() == [("add", "Unauthenticated")]
    assert headers.get("connection", "close") == "close"


def test_a_layer_may_replace_the_error_it_sees(mount):
    @layer("odd", observes=True)
    def odd(next, /):
        def call(ctx, request):
            try:
                return next(ctx, request)
            except errors.DecodeError:
                raise Failed("teapot") from None

        return call

    server = Server(odd(take), decode=Script(errors.DecodeError("x")))
    assert send(mount(server))[2] == b"teapot"


def test_a_layer_that_swallows_the_error_changes_nothing(mount):
    @layer("odd", observes=True)
    def odd(next, /):
        def call(ctx, request):
            try:
                return next(ctx, request)
            except errors.DecodeError:
                return None

        return call

    server = Server(odd(take), decode=Script(errors.DecodeError("x")))
    assert send(mount(server))[::2] == ("400 Bad Request", b"x")


class User(msgspec.Struct, rename="camel"):
    user_id: int
    limit: int = 10
    tags: list[str] = []
    admin: bool = False
    name: str | None = None


@dataclasses.dataclass
class Page:
    user_id: int
    limit: int = 10


class Row(TypedDict, total=False):
    user_id: int
    limit: int


def request_of(kind, method, path_params=None, **more):
    env = environ(method, **more)
    return json_decoder(kind)(Context(), Request(env, path_params=path_params or {}))


@pytest.mark.parametrize(
    ("query", "request_"),
    [
        ("", User(5)),
        ("limit=3", User(5, 3)),
        ("limit=3&limit=4", User(5, 4)),
        ("tags=a", User(5, tags=["a"])),
        ("tags=a&tags=b", User(5, tags=["a", "b"])),
        ("admin=true", User(5, admin=True)),
        ("admin=0", User(5)),
        ("name=5", User(5, name="5")),
        ("name=a%20b%C3%A9", User(5, name="a b\xe9")),
        ("utm_source=x", User(5)),
        ("userId=6", User(5)),
    ],
)
def test_path_and_query_become_the_typed_request(query, request_):
    assert request_of(User, "GET", {"userId": "5"}, QUERY_STRING=query) == request_


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limit=x", "$.limit: expected int, got str"),
        ("limit=", "$.limit: expected int, got str"),
        ("limit=1.5", "$.limit: expected int, got str"),
        ("limit=9223372036854775808", "$.limit: expected an integer of at most 64 bits"),
        ("admin=maybe", "$.admin: expected bool, got str"),
    ],
)
def test_a_wrong_parameter_is_named(query, words):
    with pytest.raises(errors.DecodeError) as caught:
        request_of(User, "GET", {"userId": "5"}, QUERY_STRING=query)
    assert str(caught.value) == words


def test_a_missing_parameter_is_named():
    with pytest.raises(errors.DecodeError, match=r"\$: object missing required field userId"):
        request_of(User, "GET")


def test_the_url_wins_over_the_body():
    body = b'{"userId":1,"limit":2,"name":"n"}'
    got = request_of(User, "PUT", {"userId": "5"}, body=body, QUERY_STRING="limit=7")
    assert got == User(5, 7, name="n")


def test_a_body_stays_strict_beside_parameters():
    with pytest.raises(errors.DecodeError, match=r"\$.limit: expected int, got str"):
        request_of(User, "PUT", {"userId": "5"}, body=b'{"limit":"7"}')
    with pytest.raises(errors.DecodeError, match=r"\$: expected object, got array"):
        request_of(User, "PUT", {"userId": "5"}, body=b"[]")
    with pytest.raises(errors.DecodeError, match="malformed"):
        request_of(User, "PUT", {"userId": "5"}, body=b"{")
    with pytest.raises(errors.UnsupportedMediaType):
        request_of(User, "PUT", {"userId": "5"}, body=b"{}", CONTENT_TYPE="text/xml")


def test_parameters_alone_need_no_body():
    assert request_of(User, "DELETE", {"userId": "5"}) == User(5)
    assert request_of(Page, "POST", {"user_id": "5"}, QUERY_STRING="limit=2") == Page(5, 2)
    assert request_of(Row, "GET", {"user_id": "5"}) == {"user_id": 5}


def test_a_get_reads_no_body():
    assert request_of(User, "GET", {"userId": "5"}, body=b"{") == User(5)


def test_one_path_parameter_may_be_the_whole_request():
    assert request_of(int, "GET", {"id": "5"}) == 5
    assert request_of(str, "GET", {"id": "5"}) == "5"
    with pytest.raises(errors.DecodeError, match=r"\$.id: expected int, got str"):
        request_of(int, "GET", {"id": "x"})


def test_an_endpoint_may_take_nothing_or_the_request_itself():
    assert request_of(None, "POST", body=b"{") is None
    assert request_of(type(None), "GET") is None
    assert request_of(http.Request, "GET").path == "/add"
    assert request_of(falcon.Request, "GET").path == "/add"


@pytest.mark.parametrize("part", ["before", "after", "finalizers"])
def test_parts_that_cannot_be_called_are_refused_at_build(part):
    with pytest.raises(ConfigurationError, match=part):
        Server(take, decode=take, **{part: (1,)})


def test_a_server_has_its_endpoints_name_or_another():
    assert Server(take, decode=take).name == "take"
    server = Server(take, decode=take, name="other")
    assert (server.name, server.endpoint.__endpoint__) == ("other", "other")


def test_falcon_middleware_and_hooks_reach_the_request(tmp_path):
    class Login:
        def process_request(self, req, resp):
            req.context.user = "ann"

        def process_response(self, req, resp, resource, succeeded):
            resp.set_header("X-Succeeded", str(succeeded))

    app = make(tmp_path, middleware=[Login()])
    app.post("/add", Script("x", name="add"), decode=lambda ctx, request: request.context.user)
    _, headers, body = call(app, environ())
    assert (headers["x-succeeded"], body) == ("True", b'"x"')


def test_repeated_headers_stay_apart(mount):
    answer = Answer(1, 200, [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
    result = TestClient(mount(Server(Script(answer), **fixed()))).simulate_post("/add")
    assert {name: cookie.value for name, cookie in result.cookies.items()} == {"a": "1", "b": "2"}


def test_a_union_has_no_fields_and_is_its_body():
    kind = AddRequest | None
    assert request_of(kind, "POST", body=b'{"v":1}', QUERY_STRING="v=2") == AddRequest(1)
    assert request_of(list[int], "POST", body=b"[1]", QUERY_STRING="v=2") == [1]


def test_an_error_whose_status_has_no_body_has_none(mount):
    class Unchanged(falcon.HTTPError):
        def __init__(self):
            super().__init__(304)

    status, headers, body = send(mount(Server(Script(Unchanged()), **fixed())))
    assert (status[:3], body) == ("304", b"")
    assert "content-type" not in headers


def test_a_reply_shows_what_it_is():
    assert repr(Reply(200, [("A", "b")], b"c")) == "Reply(200, [('A', 'b')], b'c')"
