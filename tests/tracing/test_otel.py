"""The bridge: OpenTelemetry's own spans around calls, with others' spans under them."""

from __future__ import annotations

import io
import json

import pytest
from opentelemetry import baggage as otel_baggage
from opentelemetry import trace as otel
from opentelemetry.propagate import get_global_textmap
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from falconkit import Context, chain
from falconkit.errors import CircuitOpen, RateLimited
from falconkit.log import log
from falconkit.tracing import Baggage, Callee, baggage, carrying, headers, tag, trace
from falconkit.tracing.otel import OTelTracer

T, S = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def theirs(exported) -> otel.Tracer:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    return provider.get_tracer("test")


@pytest.fixture
def tracer(theirs) -> OTelTracer:
    return OTelTracer(theirs)


def ids(span) -> tuple[str, str]:
    context = span.get_span_context()
    return otel.format_trace_id(context.trace_id), otel.format_span_id(context.span_id)


def test_spans_of_others_nest_under_ours(tracer, theirs, exported):
    def query(ctx: Context, v: int) -> int:
        tag(ctx, "user", "ann")
        with theirs.start_as_current_span("SELECT"):  # as an instrumented database driver does
            return v

    load = trace(tracer, name="load")(query)
    serve = trace(tracer, name="show")(lambda ctx, v: load(ctx, v))
    joined = tracer.join({"traceparent": f"00-{T}-{S}-01", "tracestate": "rojo=1"})
    assert serve(Context("GET", "/show", "r-1", span=joined, caller="10.0.0.9"), 7) == 7
    select, load_span, show = exported.get_finished_spans()
    assert select.parent.span_id == load_span.context.span_id
    assert load_span.parent.span_id == show.context.span_id
    assert otel.format_span_id(show.parent.span_id) == S
    assert {ids(each)[0] for each in (select, load_span, show)} == {T}
    assert (show.kind, load_span.kind) == (SpanKind.SERVER, SpanKind.INTERNAL)
    assert show.attributes == {
        "http.request.method": "GET",
        "url.path": "/show",
        "request.id": "r-1",
        "client.address": "10.0.0.9",
    }
    assert load_span.attributes == {"user": "ann"}
    assert not otel.get_current_span().get_span_context().is_valid


def test_headers_go_on_from_the_open_span_or_from_where_it_came(tracer):
    joined = tracer.join({"traceparent": f"00-{T}-{S}-01", "tracestate": "rojo=1"})
    assert (joined.trace_id, joined.span_id) == (T, S)
    assert dict(joined.headers()) == {
        "traceparent": f"00-{T}-{S}-01",
        "tracestate": "rojo=1",
    }
    span = tracer.open(Context(span=joined), "add")
    went = dict(span.headers())
    span.finish()
    span.finish()
    assert went == {"traceparent": f"00-{T}-{span.span_id}-01", "tracestate": "rojo=1"}


def test_errors_and_clients(tracer, exported):
    def broken(ctx: Context, v: int) -> int:
        raise CircuitOpen

    class Users:
        service, url = "users", "http://10.0.0.7:81/"

        def __call__(self, ctx: Context, v: int) -> int:
            raise RateLimited

    ask = trace(tracer, name="ask")(Users())
    call = trace(tracer, name="call")(broken)
    served = trace(tracer, name="add")(Users.__call__.__get__(Users()))
    for each, error in ((ask, RateLimited), (call, CircuitOpen)):
        with pytest.raises(error):
            each(Context(), 1)
    with pytest.raises(RateLimited):
        served(Context(span=tracer.join({})), 1)
    asked, called, add = exported.get_finished_spans()
    assert asked.kind is SpanKind.CLIENT
    assert asked.attributes["peer.service"] == "users"
    assert asked.attributes["server.port"] == 81
    assert (asked.status.status_code, add.status.status_code) == (
        StatusCode.ERROR,
        StatusCode.UNSET,
    )
    assert called.status.description == "CircuitOpen: circuit breaker is open"
    assert called.attributes["error.type"] == "CircuitOpen"
    assert [event.name for event in called.events] == ["broken"]


def test_the_outermost_log_line_has_the_id_of_a_trace_that_begins_here(tracer, exported):
    lines = io.BytesIO()

    class Sink:
        write_line = lines.write

    call = chain(log(sink=Sink()), trace(tracer, name="add"))(lambda ctx, v: v)
    joined = tracer.join({})
    assert (joined.trace_id, joined.span_id) == ("", "")
    call(Context(span=joined), 1)
    (span,) = exported.get_finished_spans()
    assert json.loads(lines.getvalue())["trace_id"] == ids(span)[0] == joined.trace_id
    lines.truncate(0)
    lines.seek(0)
    log(sink=Sink())(lambda ctx, v: v)(Context(span=tracer.join({})), 1)
    assert "trace_id" not in json.loads(lines.getvalue())


def test_under_a_script_s_own_span(tracer, theirs, exported):
    with theirs.start_as_current_span("job"):
        trace(tracer, name="step")(lambda ctx, v: v)(Context(), 1)
    step, job = exported.get_finished_spans()
    assert step.parent.span_id == job.context.span_id


def test_the_api_alone_records_nothing_and_passes_on_what_came():
    tracer = OTelTracer()
    assert set(tracer.fields) == {each.lower() for each in get_global_textmap().fields}
    seen = []
    joined = tracer.join({"traceparent": f"00-{T}-{S}-01"})
    trace(tracer, name="add")(lambda ctx, v: seen.append(ctx.span))(Context(span=joined), 1)
    (span,) = seen
    assert span.trace_id == T
    assert dict(span.headers())["traceparent"] == f"00-{T}-{S}-01"
    tracer.attach(None, None)
    tracer.close()


def test_a_callee_without_a_port(tracer, exported):
    tracer.open(Context(), "ask", "client", Callee("users")).finish()
    (span,) = exported.get_finished_spans()
    assert span.attributes == {"peer.service": "users"}


def test_baggage_that_is_set_is_opentelemetry_s_for_the_spans_that_are_opened_with_it(tracer):
    joined = tracer.join({"traceparent": f"00-{T}-{S}-01", "baggage": "user=ann,debug=1"})
    ctx = Context(span=joined)
    assert baggage(ctx) == {"user": "ann", "debug": "1"}
    ctx = carrying(ctx, baggage(ctx).having("plan", "free, yes").without("debug"))
    seen = []

    def look(ctx: Context, v: int) -> None:
        seen.append((otel_baggage.get_all(), dict(ctx.span.headers()), headers(ctx)))

    trace(tracer, name="look")(look)(ctx, 1)
    ((theirs, others_send, we_send),) = seen
    assert theirs == {"user": "ann", "plan": "free, yes"}
    assert Baggage.read(others_send["baggage"])["user"] == "ann"
    assert "debug" not in others_send["baggage"]
    assert we_send["baggage"] == "plan=free%2C%20yes,user=ann"
    assert otel_baggage.get_all() == {}
