"""The apps under test: ``gunicorn benchmarks.apps:full`` serves one.

``full`` is the counter with everything as it is deployed, but for the total, which is in
memory: a file or Redis would be measured in place of the toolkit. ``bare`` is what every
ratio is taken against: Falcon, ``req.media`` and ``resp.media``, and nothing else.
"""

from typing import Any

import falcon
import msgspec

from example_counter import endpoints, transport
from example_counter.service import MemoryCounter
from falconkit import Middleware, chain
from falconkit.log import log, setup
from falconkit.metrics import Metrics, measure
from falconkit.metrics.statsd import StatsD
from falconkit.ratelimit import TokenBucket, limit
from falconkit.settings import Settings
from falconkit.transport import http

NO_LIMIT = "1000000/second"
"""A rate that no load generator meets: each call is decided, and let through."""


def build_full(*inside_log: Middleware, **of_app: Any) -> http.App:
    """Wire the counter up as `example_counter.app` does.

    Args:
        *inside_log: Further layers, between the log and the rest.
        **of_app: Further arguments of `http.app`.
    """
    settings = Settings.from_env(rate_limit=NO_LIMIT, service_name="counter")
    setup(settings.log_format, settings.log_level)
    metrics = Metrics()
    host, port, prefix = settings.statsd_host, settings.statsd_port, settings.statsd_prefix
    metrics.add_backend(StatsD(host, port, prefix))
    bucket = TokenBucket.from_settings(settings)
    observe = chain(log(), *inside_log, measure(metrics))
    app = http.app(settings=settings, metrics=metrics, observe=observe, **of_app)
    transport.bind(app, endpoints.add_endpoint(MemoryCounter()), chain(observe, limit(bucket)))
    return app


class Media:
    """The counter as Falcon's tutorial would have it."""

    def __init__(self) -> None:
        self.total = 0

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Add."""
        self.total += req.media["v"]
        resp.media = {"v": self.total}


class Typed:
    """The counter on Falcon with msgspec in place of ``media``."""

    def __init__(self) -> None:
        self.total = 0
        self.decode = msgspec.json.Decoder(transport.Amount).decode
        self.encode = msgspec.json.Encoder().encode

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Add."""
        self.total += self.decode(req.bounded_stream.read()).v
        resp.content_type = falcon.MEDIA_JSON
        resp.data = self.encode(transport.Amount(self.total))


def build_bare(resource: object) -> falcon.App[Any, Any]:
    """Return Falcon with one route, and nothing else."""
    app: falcon.App[Any, Any] = falcon.App()
    app.add_route("/add", resource)
    return app


full = build_full()
bare = build_bare(Media())
bare_msgspec = build_bare(Typed())
