"""Services for the tests that start a gunicorn: one app, told by its environment who it is.

``CALLS`` is the URL that it asks and whose answer it passes on; without one it answers itself.
"""

from __future__ import annotations

import logging
import os

from falconkit import Context, chain, named
from falconkit.errors import Failed
from falconkit.log import log, setup
from falconkit.metrics import Metrics, measure
from falconkit.settings import Settings
from falconkit.tracing import LeanTracer, Several, TraceRing, tag, trace
from falconkit.tracing.zipkin import ZipkinReporter
from falconkit.transport import http


def build() -> http.App:
    settings = Settings.from_env(debug_vars="open")
    setup("json", "info")
    service = os.environ["SERVICE"]
    reporter = ZipkinReporter(
        os.environ["ZIPKIN_URL"],
        interval=0.05,
        most=int(os.environ.get("MOST", "10000")),
        batch=int(os.environ.get("BATCH", "500")),
    )
    traces = TraceRing(interval=0.05)
    tracer = LeanTracer(service, reporter=Several(reporter, traces))
    metrics = Metrics()
    observe = chain(log(), trace(tracer), measure(metrics))
    app = http.app(
        settings=settings, metrics=metrics, observe=observe, tracer=tracer, traces=traces
    )
    calls = os.environ.get("CALLS")

    @named(f"{service}_work")
    def work(ctx: Context, v: int) -> int:
        logging.getLogger("business").info("working")
        tag(ctx, "v", v)
        if v < 0:
            raise Failed("v is negative")
        return v + 1

    if calls is not None:
        asked = http.Client(
            "POST",
            calls,
            returns=int,
            name=f"ask_{os.environ['ASKED']}",
            service=os.environ["ASKED"],
        )
        ask = trace(tracer)(asked)

        @named(f"{service}_pass")
        def passing(ctx: Context, v: int) -> int:
            return ask(ctx, v)

        app.post("/work", passing, observe)
    else:
        app.post("/work", work, observe)
    return app


app = build()
