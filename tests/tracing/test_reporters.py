"""What arrives in Zipkin, in a file, in the log and in a collector."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit import Context
from falconkit.errors import ConfigurationError, NoInstance
from falconkit.log import JsonFormatter
from falconkit.testing import ManualClock
from falconkit.testing.peer import Peer
from falconkit.tracing import Callee, FileReporter, LeanTracer, LogReporter, SpanList
from falconkit.tracing.otlp import OTLPReporter
from falconkit.tracing.zipkin import ZipkinReporter
from falconkit.tracing.zipkin_json import text, zipkin_span
from tests.dripping import endless, timing
from tests.services import free_port
from tests.tracing.receiver import Receiver, by_name

NEVER = 3600.0


def two_spans(reporter, caller: str = "10.0.0.9", seconds: float = 0.25) -> None:
    """A server's span and, in it, a client's that failed."""
    clock = ManualClock(time=1_700_000_000.5)
    tracer = LeanTracer("counter", reporter=reporter, clock=clock)
    ctx = Context("POST", "/add", "r-1", span=tracer.join({}), caller=caller)
    served = tracer.open(ctx, "add")
    clock.advance(seconds)
    asked = tracer.open(ctx.inside(served), "get_user", "client", Callee("users", "10.0.0.7", 81))
    asked.tag("retry.attempt", 2)
    asked.annotate("refused")
    clock.advance(seconds)
    asked.fail(NoInstance("no instance of users"))
    asked.finish()
    served.finish()


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


def test_zipkin_gets_its_own_json(receiver):
    reporter = ZipkinReporter(receiver.url, headers={"Authorization": "Basic x"}, interval=NEVER)
    two_spans(reporter)
    reporter.close()
    ((path, headers, _),) = receiver.posts
    assert path == "/api/v2/spans"
    assert headers["content-type"] == "application/json"
    assert headers["authorization"] == "Basic x"
    served, asked = (by_name(receiver.spans(), name) for name in ("add", "get_user"))
    assert served == {
        "traceId": served["traceId"],
        "id": served["id"],
        "name": "add",
        "kind": "SERVER",
        "timestamp": 1_700_000_000_500_000,
        "duration": 500_000,
        "localEndpoint": {"serviceName": "counter"},
        "remoteEndpoint": {"ipv4": "10.0.0.9"},
        "tags": {"http.method": "POST", "http.path": "/add", "request.id": "r-1"},
    }
    assert asked == {
        "traceId": served["traceId"],
        "id": asked["id"],
        "parentId": served["id"],
        "name": "get_user",
        "kind": "CLIENT",
        "timestamp": 1_700_000_000_750_000,
        "duration": 250_000,
        "localEndpoint": {"serviceName": "counter"},
        "remoteEndpoint": {"serviceName": "users", "ipv4": "10.0.0.7", "port": 81},
        "annotations": [{"timestamp": 1_700_000_000_750_000, "value": "refused"}],
        "tags": {
            "instance": "10.0.0.7:81",
            "retry.attempt": "2",
            "error": "NoInstance: no instance of users",
        },
    }
    assert (reporter.batches.sent, reporter.batches.dropped) == (2, 0)


@pytest.mark.parametrize(
    ("caller", "remote"),
    [
        ("10.0.0.9", {"ipv4": "10.0.0.9"}),
        ("2001:db8::1", {"ipv6": "2001:db8::1"}),
        ("fe80::1%eth0", {"ipv6": "fe80::1"}),
        ("ann", {"serviceName": "ann"}),
        ("", None),
    ],
)
def test_who_called(receiver, caller, remote):
    reporter = ZipkinReporter(receiver.url, interval=NEVER)
    two_spans(reporter, caller)
    reporter.close()
    assert by_name(receiver.spans(), "add").get("remoteEndpoint") == remote


def test_no_span_takes_no_time(receiver):
    reporter = ZipkinReporter(receiver.url, interval=NEVER)
    two_spans(reporter, seconds=0.0)
    reporter.close()
    assert [span["duration"] for span in receiver.spans()] == [1, 1]


@given(
    st.text(max_size=2000) | st.integers() | st.floats() | st.booleans() | st.none() | st.binary()
)
def test_any_tag_can_be_sent(value):
    spans = SpanList()
    span = LeanTracer("counter", reporter=spans).open(Context(), "add")
    span.tag("tag", value)
    span.finish()
    import msgspec

    (sent,) = [msgspec.json.encode(zipkin_span(each, "counter")) for each in spans]
    assert json.loads(sent)["tags"]["tag"] == text(value)
    assert len(text(value)) <= 1024


def test_a_tag_that_cannot_be_shown_costs_no_batch():
    class Hostile:
        def __str__(self) -> str:
            raise OSError

    assert text(Hostile()) == "<Hostile>"
    assert text("\ud800") == "?"


@pytest.mark.parametrize("status", [500, 503, 429, 408])
def test_what_zipkin_may_take_later_is_sent_again(receiver, status):
    receiver.statuses = [status]
    reporter = ZipkinReporter(receiver.url, interval=NEVER)
    reporter.batches._start = lambda: None
    two_spans(reporter)
    assert reporter.batches.turn() < 2
    assert (reporter.batches.sent, reporter.batches.waiting) == (0, 2)
    reporter.batches.turn()
    assert (reporter.batches.sent, reporter.batches.waiting, len(receiver.posts)) == (2, 0, 2)
    assert receiver.posts[0][2] == receiver.posts[1][2]


@pytest.mark.parametrize("status", [400, 401, 404, 413, 301])
def test_what_zipkin_will_never_take_is_dropped(receiver, status, caplog):
    receiver.statuses = [status]
    reporter = ZipkinReporter(receiver.url, interval=NEVER)
    reporter.batches._start = lambda: None
    two_spans(reporter)
    reporter.batches.turn()
    assert (reporter.batches.sent, reporter.batches.dropped, reporter.batches.waiting) == (0, 2, 0)
    assert str(status) in caplog.text


def test_a_zipkin_that_is_away_is_told_of_by_its_url(caplog):
    reporter = ZipkinReporter(f"http://127.0.0.1:{free_port()}", interval=NEVER)
    reporter.batches._start = lambda: None
    two_spans(reporter)
    reporter.flush()
    assert reporter.batches.waiting == 2
    assert reporter.url in caplog.text


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://zipkin:9411", "http://zipkin:9411/api/v2/spans"),
        ("http://zipkin:9411/", "http://zipkin:9411/api/v2/spans"),
        ("https://z/zipkin", "https://z/zipkin/api/v2/spans"),
        ("http://zipkin:9411/api/v2/spans", "http://zipkin:9411/api/v2/spans"),
        ("http://[::1]:9411", "http://[::1]:9411/api/v2/spans"),
    ],
)
def test_where_zipkin_is(url, where):
    assert ZipkinReporter(url).url == where


@pytest.mark.parametrize(
    "build",
    [
        lambda: ZipkinReporter("zipkin:9411"),
        lambda: ZipkinReporter(""),
        lambda: ZipkinReporter("ftp://zipkin"),
        lambda: ZipkinReporter("http://"),
        lambda: ZipkinReporter("http://zipkin:port"),
        lambda: ZipkinReporter("http://ann:secret@zipkin"),
        lambda: ZipkinReporter("http://zipkin?a=b"),
        lambda: ZipkinReporter("http://zipkin", timeout=0),
        lambda: ZipkinReporter("http://zipkin", most=0),
        lambda: FileReporter(""),
        lambda: LogReporter(level="INFO"),
    ],
)
def test_what_cannot_work_is_said_at_once(build):
    with pytest.raises(ConfigurationError):
        build()


def test_a_reporter_is_one_service_s():
    reporter = FileReporter("spans")
    LeanTracer("counter", reporter=reporter)
    LeanTracer("counter", reporter=reporter)
    with pytest.raises(ConfigurationError, match="users"):
        LeanTracer("users", reporter=reporter)


def test_a_file_gets_a_line_a_span_and_may_be_moved_away(tmp_path):
    path = tmp_path / "spans.jsonl"
    reporter = FileReporter(path, interval=NEVER)
    two_spans(reporter)
    reporter.flush()
    path.rename(tmp_path / "old.jsonl")
    two_spans(reporter)
    reporter.close()
    for each in (path, tmp_path / "old.jsonl"):
        lines = [json.loads(line) for line in each.read_text().splitlines()]
        assert [line["name"] for line in lines] == ["get_user", "add"]
        assert lines[0]["parentId"] == lines[1]["id"]


def test_a_file_that_cannot_be_written_is_tried_again(tmp_path, caplog):
    reporter = FileReporter(tmp_path / "no" / "spans", interval=NEVER)
    reporter.batches._start = lambda: None
    two_spans(reporter)
    reporter.batches.turn()
    assert reporter.batches.waiting == 2
    (tmp_path / "no").mkdir()
    reporter.batches.turn()
    assert reporter.batches.sent == 2


def test_the_log_gets_a_record_a_span():
    out = io.StringIO()
    logger = logging.Logger("spans")
    logger.addHandler(logging.StreamHandler(out))
    logger.handlers[0].setFormatter(JsonFormatter())
    reporter = LogReporter(logger, interval=NEVER)
    two_spans(reporter)
    reporter.close()
    asked, served = (json.loads(line) for line in out.getvalue().splitlines())
    assert served["message"] == "span add"
    assert (served["kind"], served["elapsed"]) == ("server", 0.5)
    assert asked["trace_id"] == served["trace_id"]
    assert asked["parent_id"] == served["span_id"]
    assert "parent_id" not in served
    assert asked["annotations"] == ["refused"]
    assert asked["tags"]["retry.attempt"] == "2"


def test_a_collector_gets_otlp(receiver):
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
        ExportTraceServiceRequest,
    )
    from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

    receiver.statuses = [200]
    reporter = OTLPReporter(f"{receiver.url}/v1/traces", headers={"x-key": "k"}, interval=NEVER)
    two_spans(reporter)
    reporter.close()
    ((path, headers, body),) = receiver.posts
    assert (path, headers["x-key"]) == ("/v1/traces", "k")
    (resource,) = ExportTraceServiceRequest.FromString(body).resource_spans
    assert [(a.key, a.value.string_value) for a in resource.resource.attributes] == [
        ("service.name", "counter")
    ]
    (scope,) = resource.scope_spans
    asked, served = scope.spans
    assert (asked.name, served.name) == ("get_user", "add")
    assert (asked.kind, served.kind) == (Span.SPAN_KIND_CLIENT, Span.SPAN_KIND_SERVER)
    assert asked.trace_id == served.trace_id
    assert (asked.parent_span_id, served.parent_span_id) == (served.span_id, b"")
    assert (served.end_time_unix_nano - served.start_time_unix_nano) == 500_000_000
    assert served.start_time_unix_nano == 1_700_000_000_500_000_000
    assert (asked.status.code, asked.status.message) == (
        Status.STATUS_CODE_ERROR,
        "NoInstance: no instance of users",
    )
    assert served.status.code == Status.STATUS_CODE_UNSET
    found = {a.key: a.value for a in asked.attributes}
    assert found["retry.attempt"].int_value == 2
    assert found["peer.service"].string_value == "users"
    assert [event.name for event in asked.events] == ["refused"]


def test_a_collector_that_is_away_is_tried_again():
    reporter = OTLPReporter(
        f"http://127.0.0.1:{free_port()}/v1/traces", timeout=0.1, interval=NEVER
    )
    reporter.batches._start = lambda: None
    two_spans(reporter)
    reporter.batches.turn()
    assert reporter.batches.waiting == 2


@pytest.mark.parametrize(
    ("extra", "use"),
    [
        ("otel", "import falconkit.tracing.otel"),
        ("otlp", "from falconkit.tracing.otlp import OTLPReporter; OTLPReporter('http://c/v1')"),
    ],
)
def test_a_missing_extra_is_named(extra, use, tmp_path):
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").touch()
    done = subprocess.run(
        [sys.executable, "-c", use],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "ConfigurationError" in done.stderr
    assert f"pip install 'falconkit[{extra}]'" in done.stderr


@pytest.mark.parametrize(
    "make",
    [
        lambda url: ZipkinReporter(url, timeout=60.0, interval=NEVER, tries=1),
        lambda url: OTLPReporter(f"{url}/v1/traces", timeout=60.0, interval=NEVER, tries=1),
    ],
    ids=["zipkin", "otlp"],
)
def test_a_server_whose_answer_drips_does_not_hold_the_thread(make, monkeypatch):
    clock = timing(monkeypatch)
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n"
    with Peer(endless(b"x", head, clock)) as peer:
        reporter = make(peer.url)
        two_spans(reporter)
        reporter.flush()
        assert reporter.batches.dropped == 2
        assert reporter.batches.waiting == 0
        reporter.close()
