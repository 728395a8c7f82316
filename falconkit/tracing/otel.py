"""Spans of OpenTelemetry instead of our own, so that others' nest under them (extra ``otel``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from falconkit.context import Context
from falconkit.events import Events
from falconkit.extras import needing
from falconkit.tracing.bag import Baggage, was_set
from falconkit.tracing.span import Callee, Kind, Tag
from falconkit.tracing.verdict import words_of

with needing("otel"):
    from opentelemetry import baggage as otel_baggage
    from opentelemetry import context as otel_context
    from opentelemetry import propagate, trace
    from opentelemetry.propagators.textmap import TextMapPropagator


class OTelTracer:
    """A `Tracer` that opens OpenTelemetry spans, current ones for the time of the call.

    What the instrumentations of SQLAlchemy, redis and others record within a call is then a
    child of its span. A span costs 13 us and more in OpenTelemetry's SDK, ten times a lean
    one; sampler, exporter and formats are those that OpenTelemetry was given.

    A trace that begins here has its id from the first span on: what an
    extractor logs before that has none; the outermost `log` has it.

    >>> OTelTracer().join({}).trace_id
    ''

    Args:
        tracer: OpenTelemetry's; its global one, of the name ``falconkit``, when None.
        propagator: Reads and writes headers; OpenTelemetry's global one when None.
    """

    def __init__(
        self, tracer: trace.Tracer | None = None, *, propagator: TextMapPropagator | None = None
    ) -> None:
        self._tracer = trace.get_tracer("falconkit") if tracer is None else tracer
        self._propagator = propagate.get_global_textmap() if propagator is None else propagator
        self.fields = tuple(sorted({each.lower() for each in self._propagator.fields}))

    def join(self, headers: Mapping[str, str], /) -> OTelPlace:
        """Return where the headers say that a request comes from."""
        return OTelPlace(self._propagator.extract(headers, otel_context.Context()), self)

    def open(
        self, ctx: Context, name: str, kind: Kind | None = None, callee: Callee | None = None, /
    ) -> OTelSpan:
        """Open a span, and make it OpenTelemetry's current one until it is finished."""
        within = ctx.span
        if isinstance(within, OTelSpan):
            under = within.otel
        elif isinstance(within, OTelPlace):
            under, kind = within.otel, kind or "server"
        else:
            under = otel_context.get_current()
        under = _with_baggage(under, was_set(ctx))
        span = self._tracer.start_span(
            name,
            under,
            _KINDS[kind or "local"],
            _attributes(ctx, kind, callee),
        )
        if not span.get_span_context().is_valid:
            # Nobody records, as with the API alone: what came is what goes on.
            span = trace.NonRecordingSpan(trace.get_current_span(under).get_span_context())
        opened = OTelSpan(span, trace.set_span_in_context(span, under), self)
        if isinstance(within, OTelPlace):
            within.began(opened)
        return opened

    def headers(self, at: otel_context.Context) -> list[tuple[str, str]]:
        """Return the headers of a call that is made there."""
        carrier: dict[str, str] = {}
        self._propagator.inject(carrier, at)
        return list(carrier.items())

    def attach(self, events: Events, count: Callable[[str, int], None], /) -> None:
        """Nothing: OpenTelemetry's exporters tell nobody."""

    def close(self) -> None:
        """Flush OpenTelemetry's own processors, 2 s at most; whoever made them ends them."""
        flush = getattr(trace.get_tracer_provider(), "force_flush", None)
        if flush is not None:
            flush(2000)

    def __repr__(self) -> str:
        return "OTelTracer()"


class OTelPlace:
    """Where a request came from, outside of any span that is open here."""

    __slots__ = ("_ids", "_tracer", "otel")

    def __init__(self, otel: otel_context.Context, tracer: OTelTracer) -> None:
        self.otel = otel
        self._tracer = tracer
        self._ids = trace.get_current_span(otel).get_span_context()

    @property
    def trace_id(self) -> str:
        """32 lower-case hexadecimal digits; "" until a trace that begins here has a span."""
        return trace.format_trace_id(self._ids.trace_id) if self._ids.is_valid else ""

    @property
    def span_id(self) -> str:
        """16 lower-case hexadecimal digits; "" likewise."""
        return trace.format_span_id(self._ids.span_id) if self._ids.is_valid else ""

    def began(self, span: OTelSpan) -> None:
        """Hear of a span that was opened here."""
        if not self._ids.is_valid:
            self._ids = span.ids

    def headers(self) -> list[tuple[str, str]]:
        """Return the headers of a call that is made outside of any span of ours."""
        return self._tracer.headers(self.otel)


class OTelSpan:
    """An open span of OpenTelemetry's."""

    __slots__ = ("_span", "_token", "_tracer", "ids", "otel")

    recording = True

    def __init__(self, span: trace.Span, otel: otel_context.Context, tracer: OTelTracer) -> None:
        self.otel = otel
        self.ids = span.get_span_context()
        self._span = span
        self._tracer = tracer
        self._token: Any = otel_context.attach(otel)

    @property
    def trace_id(self) -> str:
        """32 lower-case hexadecimal digits."""
        return trace.format_trace_id(self.ids.trace_id) if self.ids.is_valid else ""

    @property
    def span_id(self) -> str:
        """16 lower-case hexadecimal digits."""
        return trace.format_span_id(self.ids.span_id)

    def headers(self) -> list[tuple[str, str]]:
        """Return the headers of a call that is made in this span."""
        return self._tracer.headers(self.otel)

    def tag(self, name: str, value: Tag, /) -> None:
        """Set an attribute."""
        self._span.set_attribute(name, value)

    def annotate(self, what: str, /) -> None:
        """Add an event."""
        self._span.add_event(what)

    def fail(self, error: BaseException, /) -> None:
        """Set the status to an error, and its type."""
        self._span.set_attribute("error.type", type(error).__name__)
        self._span.set_status(trace.Status(trace.StatusCode.ERROR, words_of(error)))

    def finish(self) -> None:
        """End the span; the one around it is OpenTelemetry's current one again."""
        token, self._token = self._token, None
        if token is not None:
            otel_context.detach(token)
            self._span.end()


_KINDS: dict[str, trace.SpanKind] = {
    "server": trace.SpanKind.SERVER,
    "client": trace.SpanKind.CLIENT,
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
    "local": trace.SpanKind.INTERNAL,
}


def _with_baggage(at: otel_context.Context, bag: Baggage | None) -> otel_context.Context:
    """Return where our baggage is OpenTelemetry's too, which other libraries send."""
    if bag is not None:
        at = otel_baggage.clear(at)
        for name, value in bag.items():
            at = otel_baggage.set_baggage(name, value, at)
    return at


def _attributes(ctx: Context, kind: Kind | None, callee: Callee | None) -> dict[str, Tag]:
    """Return what OpenTelemetry's conventions call by these names."""
    found: dict[str, Tag] = {}
    if kind == "server":
        found = {"http.request.method": ctx.method, "url.path": ctx.path}
        found |= {"request.id": ctx.request_id, "client.address": ctx.caller}
    if callee is not None:
        found["peer.service"] = callee.service
        if callee.host:
            found["server.address"] = callee.host
        if callee.port:
            found["server.port"] = callee.port
    return found
