"""What all services here have in common: settings, logs, metrics, traces. A team writes it once."""

import os

from examples.passing import pass_on
from falconkit import Middleware, chain
from falconkit.log import setup
from falconkit.metrics import Metrics
from falconkit.presets import call_stack, observe_stack, server_stack, try_stack
from falconkit.settings import Settings
from falconkit.tracing import LeanTracer, Several, TraceRing
from falconkit.tracing.zipkin import ZipkinReporter
from falconkit.transport import http


class Kit:
    """One service's own: its app, and what stands around all that it serves and calls.

    Attributes:
        app: What gunicorn serves.
    """

    def __init__(self, name: str) -> None:
        settings = Settings.from_env(service_name=name, debug_vars="open")
        setup(settings.log_format, settings.log_level)
        traces = TraceRing()
        zipkin = os.environ.get("ZIPKIN_URL")
        reporter = Several(traces, ZipkinReporter(zipkin)) if zipkin else traces
        self._tracer = LeanTracer(settings.service_name, reporter=reporter)
        self._metrics = Metrics()
        self.app = http.app(
            settings=settings,
            metrics=self._metrics,
            tracer=self._tracer,
            traces=traces,
            observe=observe_stack(self._metrics, tracer=self._tracer),
        )

    def serving(self, limit: str | None = None) -> Middleware:
        """Return what stands around an endpoint that we serve: log, trace, measure, limit, ..."""
        return server_stack(self._metrics, tracer=self._tracer, limit=limit)

    def calling(self, service: str) -> http.Service:
        """Return a service that we call, balanced over what its URL in the environment finds."""
        return self.app.watch(
            http.service(
                service,
                around=chain(pass_on, call_stack(self._metrics, tracer=self._tracer)),
                each=try_stack(tracer=self._tracer),
            )
        )
