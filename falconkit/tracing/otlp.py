"""Spans by OTLP over HTTP, sent by OpenTelemetry's own exporter (the extra ``otlp``)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Unpack

from falconkit.extras import needing
from falconkit.posting import timed_session
from falconkit.tracing.batch_reporter import BatchReporter
from falconkit.tracing.batches import NotDelivered, QueueOptions
from falconkit.tracing.recording import Recording
from falconkit.tracing.zipkin_json import text

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan


class OTLPReporter(BatchReporter):
    """Sends spans to an OpenTelemetry collector, by a thread of each worker; see `BatchReporter`.

    The tracer stays the lean one; the exporter runs in the thread alone.

    >>> OTLPReporter("http://collector:4318/v1/traces")
    OTLPReporter('http://collector:4318/v1/traces')

    Args:
        url: Where the collector takes traces, path and all.
        headers: Sent with each batch.
        timeout: Seconds to deliver a batch, the exporter's own tries included.
        **queue: See `QueueOptions`.

    Raises:
        ConfigurationError: The exporter is not installed, or a number cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
        **queue: Unpack[QueueOptions],
    ) -> None:
        super().__init__("otlp", **queue)
        with needing("otlp"):
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        self.url = url
        self._make = partial(OTLPSpanExporter, url, headers=dict(headers or {}), timeout=timeout)
        self._exporter: OTLPSpanExporter | None = None

    def send(self, spans: list[Recording]) -> None:
        """Export a batch."""
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import SpanExportResult

        if self._exporter is None:
            self._exporter = self._make(session=timed_session())
        resource = Resource({"service.name": self.service})
        try:
            result = self._exporter.export([readable(span, resource) for span in spans])
        except OSError as error:  # what older exporters let through of a collector that is away
            raise NotDelivered(str(error)) from error
        if result is not SpanExportResult.SUCCESS:
            raise NotDelivered(f"{self.url} did not take the spans")

    def __repr__(self) -> str:
        return f"OTLPReporter({self.url!r})"


def readable(span: Recording, resource: Any) -> ReadableSpan:
    """Return a finished span as OpenTelemetry's exporters want it."""
    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.sdk.util.instrumentation import InstrumentationScope
    from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

    flags = TraceFlags(TraceFlags.SAMPLED)
    came = span.trace.came

    def place(number: int, *, remote: bool) -> SpanContext:
        return SpanContext(span.trace.number, number, remote, flags)

    remote = came is not None and span.parent == came.span_id
    began = int(span.started * 1e9)
    error = span.tags.get("error")
    kind = "INTERNAL" if span.kind == "local" else span.kind.upper()
    peer = span.callee and {"server.address": span.callee.host, "peer.service": span.callee.service}
    return ReadableSpan(
        text(span.name),
        context=place(span.number, remote=False),
        parent=place(span.parent, remote=remote) if span.parent else None,
        resource=resource,
        attributes={text(name): _value(value) for name, value in span.tags.copy().items()}
        | (peer or {})
        | ({"client.address": span.caller} if span.caller else {}),
        events=[Event(text(what), timestamp=int(at * 1e9)) for at, what in span.annotations or ()],
        kind=SpanKind[kind],
        status=Status(
            StatusCode.UNSET if error is None else StatusCode.ERROR,
            None if error is None else text(error),
        ),
        start_time=began,
        end_time=began + int((span.seconds or 0.0) * 1e9),
        instrumentation_scope=InstrumentationScope("falconkit"),
    )


def _value(value: object) -> str | int | float | bool:
    return value if isinstance(value, bool | int | float) else text(value)
