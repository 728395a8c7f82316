"""A trace on its way through the HTTP server, the log and the HTTP client."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import falcon
import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit import Context, chain
from falconkit.coalesce import coalesce
from falconkit.context import ATTEMPT, current
from falconkit.errors import UpstreamUnavailable
from falconkit.log import JsonFormatter, log
from falconkit.retry import Threads, hedge, retry
from falconkit.testing import ManualClock, wait_until
from falconkit.tracing import B3_MULTI, W3C, LeanTracer, SpanList, never, trace
from falconkit.transport import http
from falconkit.transport.http import extractors
from falconkit.transport.http.reply import Reply
from tests.tracing.receiver import Receiver
from tests.transport.serving import call, environ, make

T, S = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
R = "0123456789abcdef0123"
PARENT = {"HTTP_TRACEPARENT": f"00-{T}-{S}-01"}


@pytest.fixture
def lines(monkeypatch) -> Iterator[io.StringIO]:
    """What anybody's logger writes."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [handler])
    level = root.level
    root.setLevel(logging.INFO)
    yield out
    root.setLevel(level)


class Sink:
    def __init__(self) -> None:
        self.lines: list[dict] = []

    def write_line(self, line: bytes, /) -> None:
        self.lines.append(json.loads(line))


def add(ctx: Context, v: int) -> int:
    logging.getLogger("somebody").info("adding")
    return v


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def spans() -> SpanList:
    return SpanList()


def app_of(tmp_path, spans, sink, **options) -> http.App:
    tracer = LeanTracer("counter", reporter=spans, **options)
    observe = chain(log(sink=sink), trace(tracer))
    app = make(tmp_path, tracer=tracer, observe=observe)
    app.post("/add", add, observe)
    return app


def test_every_line_of_a_request_has_the_trace_s_id_whoever_wrote_it(tmp_path, spans, sink, lines):
    app = app_of(tmp_path, spans, sink)
    assert call(app, environ(body=b"1", **PARENT))[0] == "200 OK"
    (ours,) = sink.lines
    (theirs,) = map(json.loads, lines.getvalue().splitlines())
    assert ours["trace_id"] == theirs["trace_id"] == T
    assert ours["request_id"] == theirs["request_id"]
    (span,) = spans
    assert (span.name, span.kind, span.trace_id, f"{span.parent:016x}") == ("add", "server", T, S)
    assert span.tags["request.id"] == ours["request_id"]
    assert (span.tags["http.method"], span.tags["http.path"]) == ("POST", "/add")
    assert span.caller == "127.0.0.1"


@pytest.mark.parametrize(
    ("env", "name", "tag"),
    [
        (environ(body=b"{", **PARENT), "add", "invalid"),
        (environ("GET", "/none", **PARENT), "unmatched", "invalid"),
        (environ("PUT", "/add", **PARENT), "unmatched", "invalid"),
    ],
)
def test_what_is_refused_before_the_chain_has_its_span_and_its_id(
    tmp_path, spans, sink, env, name, tag
):
    call(app_of(tmp_path, spans, sink), env)
    (span,), (line,) = spans, sink.lines
    assert (span.name, span.trace_id, line["trace_id"]) == (name, T, T)
    assert tag in span.tags


def test_a_trace_that_begins_here_is_in_the_line_and_nobody_s_span_has_a_parent(
    tmp_path, spans, sink
):
    app = app_of(tmp_path, spans, sink)
    for _ in range(3):
        call(app, environ(body=b"1", HTTP_TRACEPARENT="broken", HTTP_TRACESTATE="rojo=1"))
    assert [span.trace_id for span in spans] == [line["trace_id"] for line in sink.lines]
    assert len({span.trace_id for span in spans}) == 3
    assert {span.parent for span in spans} == {0}


def test_what_is_not_sampled_is_in_the_log_all_the_same(tmp_path, spans, sink):
    call(app_of(tmp_path, spans, sink, sampler=never), environ(body=b"1"))
    assert len(sink.lines[0]["trace_id"]) == 32
    assert not list(spans)


def test_a_public_app_trusts_no_stranger_s_headers(tmp_path, spans, sink):
    app = app_of(tmp_path, spans, sink, public=True)
    call(app, environ(body=b"1", HTTP_B3="d", HTTP_BAGGAGE="a=1", **PARENT))
    (span,) = spans
    assert span.trace_id != T
    assert [name for name, _ in span.headers()] == ["traceparent"]


def test_a_format_that_fails_costs_the_request_its_trace_and_no_more(tmp_path, spans, sink, caplog):
    class Broken:
        fields = ("x-trace",)

        def read(self, headers):
            raise ZeroDivisionError

        def write(self, carried):
            return []

    app = app_of(tmp_path, spans, sink, propagation=(Broken(), W3C))
    for _ in range(3):
        assert call(app, environ(body=b"1", HTTP_X_TRACE="1", **PARENT))[0] == "200 OK"
    said = [each for each in caplog.records if "has no trace" in each.getMessage()]
    assert len(said) == 1


def test_without_a_tracer_nothing_is_read(tmp_path, sink):
    app = make(tmp_path)
    seen = []
    app.post(
        "/add",
        lambda ctx, v: seen.append(ctx.span),
        log(sink=sink),
        decode=lambda c, r: 1,
        name="add",
    )
    call(app, environ(body=b"1", **PARENT))
    assert seen == [None]
    assert "trace_id" not in sink.lines[0]


def test_plain_falcon_beside_us_logs_the_id_too(tmp_path, spans, sink, lines):
    class Plain:
        def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
            logging.getLogger("plain").info("seen")

    app = app_of(tmp_path, spans, sink)
    app.add_route("/plain", Plain())
    call(app, environ("GET", "/plain", **PARENT))
    assert json.loads(lines.getvalue())["trace_id"] == T


def test_a_streamed_body_logs_the_id_too(tmp_path, spans, sink, lines):
    def chunks() -> Iterator[bytes]:
        for n in range(3):
            logging.getLogger("stream").info("chunk %d", n)
            yield b"x"

    app = app_of(tmp_path, spans, sink)
    app.get(
        "/stream",
        lambda ctx, request: 1,
        decode=lambda ctx, req: None,
        encode=lambda ctx, value: Reply(200, [], chunks()),
        name="stream",
    )
    assert call(app, environ("GET", "/stream", **PARENT))[2] == b"xxx"
    assert {json.loads(line)["trace_id"] for line in lines.getvalue().splitlines()} == {T}
    assert current.get() is None


def test_a_server_in_somebody_else_s_app(spans):
    tracer = LeanTracer("counter", reporter=spans)
    app = falcon.App()
    server = http.Server(trace(tracer)(add), before=[extractors.trace(tracer)])
    app.add_route("/add", server)
    call(app, environ(body=b"1", **PARENT))
    (span,) = spans
    assert (span.trace_id, f"{span.parent:016x}", span.kind) == (T, S, "server")


header = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=120)
names = st.sampled_from(
    ["TRACEPARENT", "TRACESTATE", "BAGGAGE", "B3", "X_B3_TRACEID", "X_B3_SPANID", "X_B3_SAMPLED"]
)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory) -> tuple[http.App, Sink]:
    sink = Sink()
    return app_of(tmp_path_factory.mktemp("app"), SpanList(), sink), sink


@given(st.dictionaries(names, header))
def test_no_header_bytes_make_a_request_fail(lasting, headers):
    app, sink = lasting
    env = environ(body=b"1", **{f"HTTP_{name}": value for name, value in headers.items()})
    assert call(app, env)[0] == "200 OK"
    assert len(sink.lines[-1]["trace_id"]) == 32


@pytest.fixture
def upstream() -> Iterator[Receiver]:
    with Receiver() as receiver:
        receiver.statuses = [204] * 10
        yield receiver


def sent(upstream: Receiver) -> dict[str, str]:
    return upstream.posts[-1][1]


@pytest.mark.parametrize("before", [(), (lambda ctx, outgoing: None,)])
def test_a_client_sends_its_span_on(upstream, spans, before):
    tracer = LeanTracer("counter", reporter=spans, sends=(W3C, B3_MULTI))
    client = http.Client("POST", f"{upstream.url}/x", service="users", before=before)
    ask = trace(tracer)(client)
    joined = tracer.join({"traceparent": f"00-{T}-{S}-01", "tracestate": "a=1", "baggage": "b=2"})
    ask(Context(span=joined, request_id="r-1"), {"v": 1})
    client.close()
    (span,) = spans
    assert (span.kind, span.callee.service) == ("client", "users")
    headers = sent(upstream)
    assert headers["traceparent"] == f"00-{T}-{span.span_id}-01"
    assert headers["x-b3-traceid"] == T
    assert headers["x-b3-spanid"] == span.span_id
    assert (headers["tracestate"], headers["baggage"]) == ("a=1", "b=2")
    assert headers["x-request-id"] == "r-1"


@pytest.mark.parametrize("traced", [True, False])
def test_a_client_of_somebody_else_s_service_tells_nothing(upstream, spans, traced):
    tracer = LeanTracer("counter", reporter=spans)
    client = http.Client("POST", f"{upstream.url}/x", send_ids=False)
    joined = tracer.join({"traceparent": f"00-{T}-{S}-01", "tracestate": "a=1", "baggage": "b=2"})
    ask = trace(tracer)(client) if traced else client
    ask(Context(span=joined, request_id="r-1"), {"v": 1})
    client.close()
    assert not {"traceparent", "tracestate", "baggage", "b3", "x-request-id"} & set(sent(upstream))
    assert T not in repr(sent(upstream))


def test_a_client_without_a_span_of_its_own_sends_on_the_server_s(upstream, spans):
    tracer = LeanTracer("counter", reporter=spans)
    client = http.Client("POST", f"{upstream.url}/x")
    call = trace(tracer, name="serve")(lambda ctx, v: client(ctx, v))
    call(Context(span=tracer.join({})), {"v": 1})
    client(Context(), {"v": 1})
    client.close()
    (span,) = spans
    assert upstream.posts[0][1]["traceparent"].split("-")[2] == span.span_id
    assert "traceparent" not in sent(upstream)


def test_an_app_counts_spans_and_closes_its_tracer(tmp_path, upstream):
    from falconkit.tracing.zipkin import ZipkinReporter

    upstream.statuses = []
    reporter = ZipkinReporter(upstream.url, interval=3600, most=2)
    tracer = LeanTracer("counter", reporter=reporter)
    app = make(tmp_path, tracer=tracer, clock=ManualClock())
    app.post("/add", add, trace(tracer))
    for _ in range(5):
        call(app, environ(body=b"1"))
    app.close()
    assert len(upstream.spans()) == 2
    shown = json.loads(call(app, environ("GET", "/debug/vars"))[2])
    assert (shown["spans.sent"], shown["spans.dropped"]) == (2, 3)


def told(lines: io.StringIO, app: http.App, path: str = "/ask") -> list[tuple[str, str]]:
    """Call ``path``; returns both ids of each line that the logger ``x`` wrote."""
    status, _, _ = call(app, environ("POST", path, body=b"1", HTTP_X_REQUEST_ID=R, **PARENT))
    assert status == "200 OK"
    written = map(json.loads, lines.getvalue().splitlines())
    return [(each.get("request_id"), each.get("trace_id")) for each in written]


def test_lines_of_a_hedge_s_threads_and_of_a_second_try_have_both_ids(tmp_path, spans, sink, lines):
    def ask(ctx: Context, v: int) -> int:
        logging.getLogger("x").info("asking from %s", threading.current_thread().name)
        return v

    def fail_once(ctx: Context, v: int) -> int:
        if ctx.get(ATTEMPT) is None:
            raise UpstreamUnavailable("users cannot be reached", upstream="users")
        return ask(ctx, v)

    threads = Threads(2)
    app = app_of(tmp_path, spans, sink)
    app.post("/again", retry(idempotent=True, clock=ManualClock())(fail_once))
    app.post("/hedged", hedge(threads, idempotent=True, warm_up=1, at_least=60.0)(ask))
    for path in ("/again", "/hedged", "/hedged"):  # its first call warms it up
        ids = told(lines, app, path)
    threads.close()
    said = [json.loads(line)["message"] for line in lines.getvalue().splitlines()]
    assert len(said) == 4  # with that of the failed try
    assert len(set(said)) == 3
    assert set(ids) == {(R, T)}


def test_a_line_of_a_users_own_thread_has_both_ids_when_the_thread_is_given_the_context(
    tmp_path, spans, sink, lines
):
    def work(ctx: Context, v: int) -> int:
        say = logging.getLogger("x").info
        with ThreadPoolExecutor(1) as pool:
            pool.submit(copy_context().run, say, "counting").result()
        return v

    app = app_of(tmp_path, spans, sink)
    app.post("/ask", work)
    assert told(lines, app) == [(R, T)]


def test_who_waits_for_another_s_answer_has_its_own_ids(tmp_path, spans, sink, lines):
    began, go_on = threading.Event(), threading.Event()

    @coalesce(key=lambda ctx, v: v)
    def ask(ctx: Context, v: int) -> int:
        began.set()
        assert go_on.wait(60)
        return v

    def both(ctx: Context, v: int) -> int:
        answer = ask(ctx, v)
        logging.getLogger("x").info("answered")
        return answer

    app = app_of(tmp_path, spans, sink)
    app.post("/ask", both)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(
            call, app, environ("POST", "/ask", body=b"1", HTTP_X_REQUEST_ID="a" * 20)
        )
        assert began.wait(60)
        second = pool.submit(
            call, app, environ("POST", "/ask", body=b"1", HTTP_X_REQUEST_ID="b" * 20, **PARENT)
        )
        wait_until(lambda: len(app.in_flight) == 2)
        go_on.set()
        assert first.result()[0] == second.result()[0] == "200 OK"
    written = {
        each["request_id"]: each["trace_id"]
        for each in map(json.loads, lines.getvalue().splitlines())
    }
    assert set(written) == {"a" * 20, "b" * 20}
    assert written["b" * 20] == T != written["a" * 20]


def test_a_plain_resource_s_stream_has_both_ids(tmp_path, spans, sink, lines):
    class Plain:
        def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
            resp.stream = chunks()

    def chunks() -> Iterator[bytes]:
        logging.getLogger("x").info("a chunk")
        yield b"x"

    app = app_of(tmp_path, spans, sink)
    app.add_route("/ask", Plain())
    assert told(lines, app) == [(R, T)]


def test_what_a_server_says_of_an_error_that_left_its_request_has_both_ids(
    tmp_path, spans, sink, lines
):
    class Gone(BaseException):
        pass

    def leave(ctx: Context, v: int) -> int:
        raise Gone

    class Plain:
        def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
            raise Gone

    app = app_of(tmp_path, spans, sink)
    app.post("/leave", leave)
    app.add_route("/plain", Plain())
    for path in ("/leave", "/plain"):
        env = environ("POST", path, body=b"1", HTTP_X_REQUEST_ID=R, **PARENT)
        try:
            call(app, env)
        except Gone:
            logging.getLogger("gunicorn.error").exception("Error handling request")
    assert current.get() is None
    written = [json.loads(line) for line in lines.getvalue().splitlines()]
    assert [(each["request_id"], each["trace_id"]) for each in written] == [(R, T)] * 2


def test_who_is_in_flight_is_known_with_what_the_extractors_found(tmp_path, spans):
    tracer = LeanTracer("counter", reporter=spans)
    seen = []

    def look(ctx: Context, v: int) -> int:
        ((_, found),) = app.in_flight.values()
        seen.append(found.span.trace_id)
        return v

    app = make(tmp_path, before=[extractors.trace(tracer)])
    app.post("/ask", look)
    call(app, environ("POST", "/ask", body=b"1", **PARENT))
    assert seen == [T]
    assert not app.in_flight
