"""The app: routes, names, 404 and 405, request ids, health, draining, plain Falcon beside it."""

import json
import logging
import re
import threading
import warnings
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.validate import validator

import falcon
import msgspec
import pytest

from falconkit import Context, chain, current, named
from falconkit.arena import Arena
from falconkit.errors import ConfigurationError, Failed
from falconkit.events import LimiterRecovered
from falconkit.layers import layer
from falconkit.metrics import Metrics, expvar, measure
from falconkit.ratelimit import TokenBucket, limit
from falconkit.settings import Settings
from falconkit.testing import ManualClock, Script
from falconkit.transport import http
from tests.transport.serving import AddRequest, Seen, call, environ, make

with warnings.catch_warnings():
    # webob, which it stands on, still imports the standard library's cgi.
    warnings.simplefilter("ignore", DeprecationWarning)
    import webtest


class Query(msgspec.Struct):
    id: int
    limit: int = 10


def add(ctx: Context, request: AddRequest) -> AddRequest:
    return request


def show(ctx: Context, request: Query) -> Query:
    return request


def ping(ctx: Context, request: None) -> str:
    return "pong"


@pytest.fixture
def seen():
    return Seen()


@pytest.fixture
def app(tmp_path, seen):
    made = make(tmp_path, observe=seen.layer())
    made.post("/add", add, seen.layer())
    made.get("/items/{id}", show)
    return made


def get(app, path, **more):
    return call(app, environ("GET", path, **more))


class Plain:
    def on_get(self, req, resp):
        resp.media = {"id": req.get_header("X-Request-ID"), "current": current.get().request_id}

    def on_post(self, req, resp):
        raise {"key": KeyError("hunter2"), "failed": Failed("full"), "gone": falcon.HTTPGone()}[
            req.get_param("how")
        ]


def test_each_method_of_a_path_has_its_endpoint(tmp_path):
    made = make(tmp_path)
    for method in ("get", "post", "put", "patch", "delete"):
        getattr(made, method)("/x", named(method)(ping))
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        assert call(made, environ(method, "/x"))[2] == b'"pong"'


def test_path_and_query_reach_the_endpoint(app):
    assert get(app, "/items/5", QUERY_STRING="limit=3")[2] == b'{"id":5,"limit":3}'
    assert get(app, "/items/x")[::2] == ("400 Bad Request", b"$.id: expected int, got str")


def test_falcons_converters_work(tmp_path):
    made = make(tmp_path)
    made.get("/items/{id:int(max=9)}", show)
    assert get(made, "/items/5")[2] == b'{"id":5,"limit":10}'
    assert get(made, "/items/50")[0] == "404 Not Found"


def test_the_chain_stands_around_the_endpoint_and_knows_its_name(app, seen):
    call(app, environ(body=b'{"v":1}'))
    assert seen.calls == [("add", AddRequest(1), None)]


def test_how_the_endpoints_are_wired_can_be_read(app):
    counted = chain(measure(Metrics()), limit(TokenBucket("1/second")))
    app.get("/wired", add, counted, name="wired_get")
    app.post("/wired", add, name="wired_post")
    told = [
        (each.method, each.name, [layer.name for layer in each.layers])
        for each in app.wired
        if each.path == "/wired"
    ]
    assert told == [("GET", "wired_get", ["measure", "limit"]), ("POST", "wired_post", [])]


@pytest.mark.parametrize("path", ["/nowhere", "/add/", "", "/items/5/more", "/debug/x"])
@pytest.mark.parametrize("method", ["GET", "POST", "FOO", "WEBSOCKET"])
def test_an_unknown_path_is_a_404_seen_under_one_name(app, seen, path, method):
    status, headers, body = call(app, environ(method, path, HTTP_X_REQUEST_ID="i" * 20))
    assert (status, body) == ("404 Not Found", b"not found")
    assert headers["x-request-id"] == "i" * 20
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert seen.kinds() == [("unmatched", "NoSuchPath")]
    assert (seen.calls[0][1], seen.contexts[0].request_id) == (None, "i" * 20)


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/add", "OPTIONS, POST"),
        ("DELETE", "/add", "OPTIONS, POST"),
        ("HEAD", "/add", "OPTIONS, POST"),
        ("POST", "/items/5", "GET, HEAD, OPTIONS"),
    ],
)
def test_a_wrong_method_is_a_405_that_tells_the_right_ones(app, seen, method, path, allow):
    status, headers, body = call(app, environ(method, path))
    assert status == "405 Method Not Allowed"
    assert body == (b"" if method == "HEAD" else b"method not allowed")
    assert sorted(headers["allow"].split(", ")) == allow.split(", ")
    assert seen.kinds() == [("unmatched", "MethodNotAllowed")]


def test_404_goes_before_405_and_both_before_the_body(app, seen):
    assert call(app, environ("DELETE", "/nowhere", body=b"{"))[0] == "404 Not Found"
    assert call(app, environ("PUT", "/add", body=b"{"))[0] == "405 Method Not Allowed"


def test_an_unread_body_of_an_unmatched_request_closes_the_connection(app):
    assert call(app, environ("POST", "/nowhere", body=b"x"))[1]["connection"] == "close"
    assert "connection" not in get(app, "/nowhere")[1]


@pytest.mark.parametrize("method", ["FOO", "WEBSOCKET", "get", ""])
def test_a_method_that_nobody_knows_is_a_405_too(app, seen, method):
    app.add_route("/plain", Plain())
    for path, allow in (
        ("/add", "OPTIONS, POST"),
        ("/items/5", "GET, HEAD, OPTIONS"),
        ("/plain", "GET, OPTIONS, POST"),
    ):
        status, headers, body = call(app, environ(method, path))
        assert (status, headers["allow"]) == ("405 Method Not Allowed", allow)
        assert (body, headers["content-length"]) == (b"method not allowed", "18")
    assert seen.kinds() == [("unmatched", "MethodNotAllowed")] * 3


def test_options_tells_the_methods(app, seen):
    status, headers, body = call(app, environ("OPTIONS", "/items/5"))
    assert (status, headers["allow"], body) == ("204 No Content", "GET, HEAD, OPTIONS", b"")
    assert seen.calls == [("unmatched", None, None)]


@pytest.mark.parametrize("path", ["/items/5", "/ping"])
def test_head_is_get_without_the_body(app, path):
    app.get("/ping", ping)
    whole = get(app, path, HTTP_X_REQUEST_ID="i" * 20)
    head = call(app, environ("HEAD", path, HTTP_X_REQUEST_ID="i" * 20))
    assert head[:2] == whole[:2]
    assert (head[2], len(whole[2])) == (b"", int(head[1]["content-length"]))


def test_unmatched_may_prefer_json(app):
    _, headers, body = get(app, "/nowhere", HTTP_ACCEPT="application/json")
    assert headers["content-type"] == "application/problem+json"
    assert json.loads(body)["code"] == "no_such_path"
    assert headers["vary"] == "Accept"


def test_an_observing_layer_that_fails_is_a_500_logged_once(tmp_path, caplog):
    @layer("odd", observes=True)
    def odd(next, /):
        def call(ctx, request):
            raise KeyError("x")

        return call

    made = make(tmp_path, observe=odd)
    assert get(made, "/nowhere")[0] == "500 Internal Server Error"
    assert len(caplog.records) == 1


def test_what_is_counted(tmp_path):
    metrics = Metrics(arena=Arena(tmp_path / "run"))
    made = make(tmp_path, metrics=metrics, observe=measure(metrics))
    made.post("/add", add, measure(metrics))
    call(made, environ(body=b'{"v":1}'))
    call(made, environ(body=b"{"))
    get(made, "/nowhere")
    get(made, "/health/live")
    shown = {
        (each.name, *(value for _, value in each.labels)): each.value
        for each in metrics.read()
        if each.name == "request.count"
    }
    assert shown == {
        ("request.count", "add", "ok"): 1,
        ("request.count", "add", "invalid"): 1,
        ("request.count", "unmatched", "invalid"): 1,
    }


def test_a_second_endpoint_of_a_name_is_refused(app):
    def other(ctx: Context, request: AddRequest) -> int:
        return 1

    other.__name__ = "add"
    with pytest.raises(ConfigurationError, match=r"an endpoint 'add' already.*name="):
        app.post("/other", other)
    app.post("/other", other, name="other")
    app.put("/add", add)  # the same endpoint on another route is one endpoint


def test_the_name_of_what_matches_nothing_is_taken(app):
    with pytest.raises(ConfigurationError, match="'unmatched'"):
        app.post("/x", ping, name="unmatched")


def test_a_given_name_is_everybodys(app, seen):
    app.post("/x", ping, seen.layer(), name="other")
    call(app, environ(path="/x"))
    assert seen.calls[0][0] == "other"


def test_one_method_of_a_path_has_one_endpoint(app):
    with pytest.raises(ConfigurationError, match="POST /add is the endpoint 'add' already"):
        app.post("/add", ping)


def test_a_plain_resource_cannot_take_an_endpoints_path(app):
    with pytest.raises(ConfigurationError, match="'/add' has endpoints already"):
        app.add_route("/add", Plain())


def test_an_unknown_method_is_refused(app):
    with pytest.raises(ConfigurationError, match="'BREW'"):
        app.route("BREW", "/x", ping)


@pytest.mark.parametrize(
    ("path", "endpoint", "words"),
    [
        ("/users/{user}", show, r"has \{user\}.*no such field: it has id, limit"),
        ("/items", lambda ctx, request: 1, "does not say the type"),
    ],
)
def test_a_route_that_cannot_fill_its_request_is_refused(app, path, endpoint, words):
    with pytest.raises(ConfigurationError, match=words):
        app.get(path, endpoint)


def test_a_get_of_a_bare_value_needs_one_path_parameter(app):
    def double(ctx: Context, v: int) -> int:
        return 2 * v

    with pytest.raises(ConfigurationError, match="GET /double has no body"):
        app.get("/double", double)
    app.get("/double/{v}", double)
    assert get(app, "/double/4")[2] == b"8"


def test_the_apps_extractors_run_before_the_routes(tmp_path):
    def extractor(word):
        return lambda request, ctx: ctx.replace(caller=ctx.caller + word)

    def who(ctx: Context, request: None) -> str:
        return ctx.caller

    made = make(tmp_path, before=(extractor("a"),))
    made.get("/who", who, before=(extractor("b"),))
    assert get(made, "/who", REMOTE_ADDR="x")[2] == b'"xab"'


def test_settings_reach_the_requests(tmp_path):
    def who(ctx: Context, request: None) -> str:
        return ctx.caller

    made = make(tmp_path, settings={"trusted_hops": 1, "max_body": 3})
    made.get("/who", who)
    made.post("/add", add)
    assert get(made, "/who", HTTP_X_FORWARDED_FOR="1.2.3.4")[2] == b'"1.2.3.4"'
    assert call(made, environ(body=b'{"v":1}'))[0][:3] == "413"


def test_every_answer_carries_the_request_id(app, caplog):
    app.add_route("/plain", Plain())
    app.post("/broken", Script(KeyError("x"), name="broken"), decode=lambda *_: 1)
    for method, path in [
        ("POST", "/add"),
        ("GET", "/items/5"),
        ("GET", "/add"),
        ("GET", "/nowhere"),
        ("POST", "/broken"),
        ("GET", "/plain"),
        ("PUT", "/plain"),
        ("OPTIONS", "/plain"),
        ("GET", "/health/live"),
        ("GET", "/debug/vars"),
    ]:
        for given in ("g" * 20, "bad"):
            env = environ(method, path, HTTP_X_REQUEST_ID=given)
            got = call(app, env)[1]["x-request-id"]
            assert (got == given) == (given != "bad"), (method, path)
            assert len(got) >= 20


def test_a_plain_resource_sees_the_id_and_its_log_lines_carry_it(app):
    app.add_route("/plain", Plain())
    _, headers, body = get(app, "/plain", HTTP_X_REQUEST_ID="hostile\n")
    assert json.loads(body) == {"id": headers["x-request-id"], "current": headers["x-request-id"]}
    assert current.get() is None


def test_a_plain_resource_may_set_the_id_itself(app):
    class Own:
        def on_get(self, req, resp):
            resp.set_header("X-Request-Id", "mine")

    app.add_route("/own", Own())
    assert get(app, "/own")[1]["x-request-id"] == "mine"


@pytest.mark.parametrize(
    ("how", "status", "words"),
    [
        ("key", "500 Internal Server Error", b"internal server error"),
        ("failed", "409 Conflict", b"full"),
        ("gone", "410 Gone", b"Gone"),
    ],
)
def test_what_a_plain_resource_raises_is_answered_alike(app, how, status, words, caplog):
    app.add_route("/plain", Plain())
    got, headers, body = call(app, environ("POST", "/plain", QUERY_STRING=f"how={how}"))
    assert got == status
    assert words.lower() in body.lower()
    assert headers["content-type"] == "text/plain; charset=utf-8"
    assert len(caplog.records) == (1 if how == "key" else 0)


def test_a_plain_resource_that_has_not_the_method_is_a_405(app, seen):
    app.add_route("/plain", Plain())
    assert call(app, environ("PUT", "/plain"))[0] == "405 Method Not Allowed"
    assert seen.kinds() == [("unmatched", "MethodNotAllowed")]


def test_a_plain_resource_reads_a_bounded_body(tmp_path):
    class Reads:
        def on_post(self, req, resp):
            resp.data = req.read_body()

    made = make(tmp_path, settings={"max_body": 3})
    made.add_route("/plain", Reads())
    assert call(made, environ(path="/plain", body=b"abc"))[2] == b"abc"
    assert call(made, environ(path="/plain", body=b"abcd"))[0][:3] == "413"


def test_falcons_error_handlers_get_what_endpoints_raise(app):
    def handle(req, resp, ex, params):
        resp.status = 418
        resp.text = str(ex)

    app.add_error_handler(ValueError, handle)
    script = Script(ValueError("tea"), KeyError("x"), name="pour")
    app.post("/pour", script, decode=lambda *_: 1)
    assert call(app, environ(path="/pour"))[::2] == ("418 I'm a teapot", b"tea")
    assert call(app, environ(path="/pour"))[0][:3] == "500"


def test_sinks_and_cors_keep_working(tmp_path):
    made = make(tmp_path, cors_enable=True)
    made.post("/add", add)
    made.add_sink(lambda req, resp: setattr(resp, "text", "sunk"), prefix="/sink")
    assert get(made, "/sink/x")[2] == b"sunk"
    headers = call(made, environ(body=b'{"v":1}', HTTP_ORIGIN="http://a"))[1]
    assert headers["access-control-allow-origin"] == "*"
    env = environ(
        "OPTIONS", "/add", HTTP_ORIGIN="http://a", HTTP_ACCESS_CONTROL_REQUEST_METHOD="POST"
    )
    status, headers, _ = call(made, env)
    assert status[:3] in ("200", "204")
    assert "POST" in headers["access-control-allow-methods"]


def test_middleware_added_later_sees_every_request(app):
    class Mark:
        def process_response(self, req, resp, resource, succeeded):
            resp.set_header("X-Mark", "yes")

    app.add_middleware(Mark())
    assert call(app, environ(body=b'{"v":1}'))[1]["x-mark"] == "yes"


@pytest.mark.parametrize("path", ["/health/live", "/health/ready"])
def test_health_is_neither_logged_nor_counted(app, seen, path):
    assert get(app, path)[0] == "200 OK"
    assert call(app, environ("HEAD", path))[::2] == ("200 OK", b"")
    assert call(app, environ("POST", path))[0][:3] == "405"
    assert seen.calls == []


def test_draining_turns_ready_off_and_closes_connections(app):
    assert not app.draining
    assert "connection" not in call(app, environ(body=b'{"v":1}'))[1]
    app.drain()
    assert app.draining
    status, headers, body = get(app, "/health/ready")
    assert (status, body, headers["connection"]) == (
        "503 Service Unavailable",
        b"draining",
        "close",
    )
    assert get(app, "/health/live")[0] == "200 OK"
    status, headers, _ = call(app, environ(body=b'{"v":1}'))
    assert (status, headers["connection"]) == ("200 OK", "close")
    assert get(app, "/nowhere")[1]["connection"] == "close"


class GunicornLike:
    def __init__(self):
        self.closed = 0
        self.headers = None

    def force_close(self):
        self.closed += 1

    def start_response(self, status, headers, exc_info=None):
        self.headers = dict(headers)


@pytest.mark.parametrize("path", ["/add", "/nowhere"])
def test_under_gunicorn_its_own_response_closes(app, path):
    app.drain()
    response = GunicornLike()
    list(app(environ(path=path, body=b'{"v":1}'), response.start_response))
    assert response.closed == 1
    assert "Connection" not in response.headers


@pytest.mark.parametrize("method", ["POST", "HEAD", "GET"])
def test_a_whole_body_is_a_list_which_granian_need_not_stream(app, method):
    body = app(environ(method, path="/add", body=b'{"v":1}'), lambda status, headers: None)
    assert type(body) is list


def test_requests_in_flight_are_known_while_they_run(tmp_path):
    clock = ManualClock(monotonic=50.0)
    made = make(tmp_path, clock=clock)
    snapshots = []

    class Resource:
        def on_get(self, req, resp):
            snapshots.append(dict(made.in_flight))

    def look(ctx: Context, request: None) -> None:
        snapshots.append(dict(made.in_flight))

    made.get("/look", look)
    made.add_route("/plain", Resource())
    for path in ("/look", "/plain"):
        get(made, path, HTTP_X_REQUEST_ID="i" * 20)
        ((thread, (since, ctx)),) = snapshots.pop().items()
        assert (thread, since) == (threading.get_ident(), 50.0)
        assert (ctx.request_id, ctx.path) == ("i" * 20, path)
        assert made.in_flight == {}
    get(made, "/nowhere")
    assert made.in_flight == {}


def test_events_are_counted_and_logged(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    made = make(tmp_path)
    made.events.tell(LimiterRecovered("add"))
    made.metrics.events.tell(LimiterRecovered("add"))
    (count,) = [each for each in made.metrics.read() if each.name == "event.limiter_recovered"]
    assert count.value == 2
    assert "falconkit.events" in {record.name for record in caplog.records}


def test_the_context_leads_to_the_apps_events(tmp_path):
    made = make(tmp_path)
    found = []

    def look(ctx: Context, request: None) -> None:
        found.append(ctx.events)

    made.get("/look", look)
    get(made, "/look")
    assert found == [made.events]


@pytest.mark.parametrize("name", [None, "sum"])
def test_the_rate_that_is_told_is_not_that_of_what_the_endpoint_calls(tmp_path, name):
    def bucket(rate):
        return TokenBucket(rate, storage="memory://", clock=ManualClock())

    # A client may well have the name of the endpoint that calls it.
    ask = limit(bucket("1/hour"))(named("add")(Script(1, 1, 1, 1)))

    def serve(ctx: Context, request: AddRequest) -> AddRequest:
        ask(ctx, request)
        return request

    app = make(tmp_path)
    app.post("/free", named("add")(serve))
    app.post("/limited", serve, chain(limit(bucket("9/hour")), limit(bucket("5/hour"))), name=name)
    status, headers, _ = call(app, environ(path="/free", body=b'{"v":1}'))
    assert status == "200 OK"
    assert "ratelimit" not in headers
    # Now the client's rate is used up.
    status, headers, _ = call(app, environ(path="/limited", body=b'{"v":1}'))
    assert status.startswith("429")
    assert re.findall(r"q=\d+", headers["ratelimit-policy"]) == ["q=9", "q=5"]


def test_an_app_needs_nothing(monkeypatch):
    monkeypatch.setenv("MAX_BODY", "3")
    made = http.app()
    made.post("/add", add)
    assert call(made, environ(body=b'{"v":1}'))[0][:3] == "413"
    made.close()


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ConfigurationError, match="DEBUG_VARS='ajar'"):
        http.app(settings=Settings(), debug_vars="ajar")
    with pytest.raises(ConfigurationError, match="TRUSTED_HOPS=-1"):
        http.app(settings=Settings(trusted_hops=-1))


def test_closing_stops_what_the_app_started(tmp_path):
    made = make(tmp_path)
    closed = []
    made.metrics.close = lambda: closed.append(1)
    made.close()
    assert closed == [1]


@pytest.fixture
def whole(tmp_path, seen):
    """Limit, notes, a stream, a plain resource: all that an answer may be made of."""
    made = make(tmp_path, observe=seen.layer(), debug_vars="open")
    bucket = TokenBucket("1/hour", storage="memory://", clock=ManualClock())
    made.post("/add", add, chain(seen.layer(), limit(bucket)))
    made.get("/items/{id}", show)
    made.get("/nothing", Script(None, None, name="nothing"), decode=lambda *_: 1)
    made.get(
        "/stream",
        Script(1, name="stream"),
        decode=lambda *_: 1,
        encode=lambda *_: http.Reply(200, [("Content-Type", "text/plain")], iter([b"a", b"b"])),
        finalizers=(lambda *_: None,),
    )
    made.add_route("/plain", Plain())
    return made


def test_webtest_with_its_lint_on(whole):
    client = webtest.TestApp(whole, lint=True)
    answer = client.post("/add", b'{"v":1}', {"Content-Type": "application/json"})
    assert answer.json == {"v": 1}
    assert answer.headers["RateLimit"] == '"1 per 1 hour";r=0;t=3600'
    over = client.post("/add", b'{"v":1}', status=429)
    assert (over.text, over.headers["Retry-After"]) == ("rate limit exceeded", "3600")
    assert over.headers["ratelimit-policy"] == '"1 per 1 hour";q=1;w=3600'
    assert client.post("/add", b"{", status=400).text.startswith("JSON is malformed")
    assert client.get("/items/5?limit=2").json == {"id": 5, "limit": 2}
    assert client.get("/nothing", status=204).body == b""
    assert client.get("/stream").body == b"ab"
    assert client.head("/items/5").body == b""
    client.options("/items/5", status=204)
    client.get("/nowhere", status=404)
    client.get("/add", status=405)
    client.get("/plain")
    client.get("/health/ready")
    assert "arena" in client.get("/debug/vars").json


def test_wsgiref_finds_nothing_wrong(whole):
    checked = validator(whole)
    for method, path, body in [
        ("POST", "/add", b'{"v":1}'),
        ("POST", "/add", b'{"v":1}'),
        ("POST", "/add", b"{"),
        ("GET", "/items/5", b""),
        ("HEAD", "/items/5", b""),
        ("GET", "/nothing", b""),
        ("GET", "/stream", b""),
        ("OPTIONS", "/items/5", b""),
        ("GET", "/nowhere", b""),
        ("GET", "/add", b""),
        ("GET", "/plain", b""),
        ("GET", "/health/live", b""),
    ]:
        call(checked, environ(method, path, body, CONTENT_LENGTH=str(len(body)) if body else ""))


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def test_a_real_wsgiref_server_serves_it(whole):
    import http.client as library

    whole.drain()
    with make_server("127.0.0.1", 0, whole, handler_class=Quiet) as server:
        thread = threading.Thread(target=lambda: [server.handle_request() for _ in range(2)])
        thread.start()
        for body, status in ((b'{"v":1}', 200), (b"{", 400)):
            connection = library.HTTPConnection(*server.server_address, timeout=10)
            connection.request("POST", "/add", body)
            assert connection.getresponse().status == status
            connection.close()
        thread.join()


@pytest.mark.parametrize("answer", [lambda value: value, lambda value: http.Answer(value, 201)])
def test_a_failure_is_counted_as_it_is_answered_however_it_is_wrapped(tmp_path, answer):
    class SoldOut:
        def failed(self):
            return Failed("sold out")

    metrics = Metrics(arena=Arena(tmp_path / "run"))
    app = http.app(metrics=metrics)
    app.post(
        "/buy",
        lambda ctx, request: answer(SoldOut()),
        measure(metrics),
        name="buy",
        decode=lambda ctx, request: None,
    )
    assert webtest.TestApp(app).post("/buy", status=409).text == "sold out"
    assert expvar(metrics)["request.count{endpoint=buy,outcome=failed}"] == 1
