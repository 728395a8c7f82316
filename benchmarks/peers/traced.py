"""``full`` with a span around each call, each kept and written; where tracing is there."""

import importlib
import os

from benchmarks.apps import build_full

tracing = importlib.import_module("falconkit.tracing")
tracer = tracing.LeanTracer("counter", reporter=tracing.FileReporter(os.devnull))
app = build_full(tracing.trace(tracer), tracer=tracer)
