"""The bridge with other people's instrumentations: real libraries, a real Redis and databases."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator

import pytest
import redis
import sqlalchemy
from opentelemetry import trace as otel
from opentelemetry.instrumentation.redis import RedisInstrumentor
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from falconkit import Context, chain
from falconkit.log import log
from falconkit.tracing import trace
from falconkit.tracing.otel import OTelTracer
from tests.services import redis_server
from tests.tracing.test_transport import PARENT, S, Sink, T
from tests.transport.serving import call, environ, make


@pytest.fixture
def exported() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def provider(exported) -> TracerProvider:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exported))
    return provider


@pytest.fixture
def url() -> Iterator[str]:
    with redis_server() as url:
        yield url


@contextlib.contextmanager
def instrumented(instrumentor, provider: TracerProvider, **options) -> Iterator[None]:
    instrumentor.instrument(tracer_provider=provider, **options)
    try:
        yield
    finally:
        instrumentor.uninstrument()


def served(tmp_path, provider: TracerProvider, endpoint) -> Sink:
    """Serve one request of an endpoint whose app is traced by OpenTelemetry."""
    sink, tracer = Sink(), OTelTracer(provider.get_tracer("test"))
    observe = chain(log(sink=sink), trace(tracer))
    app = make(tmp_path, tracer=tracer, observe=observe)
    app.post("/work", endpoint, observe)
    status, _, body = call(app, environ("POST", "/work", body=b"7", **PARENT))
    assert (status, body) == ("200 OK", b"7")
    return sink


def under_the_request(exported: InMemorySpanExporter, sink: Sink) -> list[ReadableSpan]:
    """Return others' spans, after a look at whether each hangs under the request's."""
    spans = exported.get_finished_spans()
    (ours,) = (each for each in spans if each.kind is SpanKind.SERVER)
    assert otel.format_span_id(ours.parent.span_id) == S
    others = [each for each in spans if each is not ours]
    known = {each.context.span_id for each in spans}
    assert all(each.parent is not None and each.parent.span_id in known for each in others)
    assert any(each.parent.span_id == ours.context.span_id for each in others)
    assert {otel.format_trace_id(each.context.trace_id) for each in spans} == {T}
    assert [line["trace_id"] for line in sink.lines] == [T]
    return others


def test_statements_of_sqlalchemy(tmp_path, provider, exported):
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path}/counter.db")

    def work(ctx: Context, v: int) -> int:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE counted (v INTEGER)"))
            connection.execute(sqlalchemy.text("INSERT INTO counted VALUES (:v)"), {"v": v})
            return connection.execute(sqlalchemy.text("SELECT v FROM counted")).scalar_one()

    with instrumented(SQLAlchemyInstrumentor(), provider, engine=engine):
        sink = served(tmp_path, provider, work)
    engine.dispose()
    names = [each.name.split()[0] for each in under_the_request(exported, sink)]
    assert [each for each in names if each != "connect"] == ["CREATE", "INSERT", "SELECT"]


def test_statements_of_sqlite3(tmp_path, provider, exported):
    def work(ctx: Context, v: int) -> int:
        with contextlib.closing(sqlite3.connect(":memory:")) as connection:
            cursor = connection.cursor()
            found: int = cursor.execute("SELECT ?", (v,)).fetchone()[0]
            cursor.close()
            return found

    with instrumented(SQLite3Instrumentor(), provider):
        sink = served(tmp_path, provider, work)
    (select,) = under_the_request(exported, sink)
    assert select.name == "SELECT"


def test_commands_of_redis(tmp_path, provider, exported, url):
    def work(ctx: Context, v: int) -> int:
        with redis.Redis.from_url(url) as client:
            client.set("counted", v)
            return int(client.get("counted"))

    with instrumented(RedisInstrumentor(), provider):
        sink = served(tmp_path, provider, work)
    names = [each.name for each in under_the_request(exported, sink)]
    assert [each for each in names if each in ("SET", "GET")] == ["SET", "GET"]
