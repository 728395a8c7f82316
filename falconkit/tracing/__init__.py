"""Tracing: where the time of a request went, across every service on its way."""

from falconkit.tracing.b3 import B3_MULTI, B3_SINGLE
from falconkit.tracing.bag import Baggage, baggage, carrying, headers
from falconkit.tracing.batch_reporter import BatchReporter
from falconkit.tracing.batches import NotDelivered, QueueOptions
from falconkit.tracing.file import FileReporter
from falconkit.tracing.lines import LogReporter
from falconkit.tracing.middleware import trace
from falconkit.tracing.propagation import Carried, Format
from falconkit.tracing.recording import Recording
from falconkit.tracing.reporter import Reporter
from falconkit.tracing.ring import TraceRing
from falconkit.tracing.sampling import Sampler, always, never, per_second, ratio
from falconkit.tracing.several import Several
from falconkit.tracing.span import Callee, Span, Tracer, annotate, tag
from falconkit.tracing.spans import SpanList
from falconkit.tracing.tracer import LeanTracer
from falconkit.tracing.w3c import W3C, TraceContext

__all__ = [
    "B3_MULTI",
    "B3_SINGLE",
    "W3C",
    "Baggage",
    "BatchReporter",
    "Callee",
    "Carried",
    "FileReporter",
    "Format",
    "LeanTracer",
    "LogReporter",
    "NotDelivered",
    "QueueOptions",
    "Recording",
    "Reporter",
    "Sampler",
    "Several",
    "Span",
    "SpanList",
    "TraceContext",
    "TraceRing",
    "Tracer",
    "always",
    "annotate",
    "baggage",
    "carrying",
    "headers",
    "never",
    "per_second",
    "ratio",
    "tag",
    "trace",
]
