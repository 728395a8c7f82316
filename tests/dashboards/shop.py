"""An app with every layer that a dashboard has a panel for."""

from __future__ import annotations

from functools import partial

from falconkit import Context, Endpoint, chain
from falconkit.arena import Arena
from falconkit.circuitbreaker import CircuitBreaker
from falconkit.errors import CircuitOpen, DeadlineExceeded, Overloaded, RateLimited
from falconkit.metrics import Metrics
from falconkit.metrics.graphite import Graphite
from falconkit.metrics.prometheus import Prometheus
from falconkit.metrics.statsd import StatsD
from falconkit.naming import named
from falconkit.presets import call_stack, observe_stack, server_stack, try_stack
from falconkit.settings import Settings
from falconkit.transport import http

REFUSALS = {
    "limited": RateLimited(retry_after=1.0),
    "busy": Overloaded(retry_after=1.0),
    "open": CircuitOpen(retry_after=1.0),
    "late": DeadlineExceeded(),
}


def build(arena: Arena | None = None, settings: Settings | None = None) -> http.App:
    """Build it: what comes in as a word decides what becomes of the call."""
    settings = settings or Settings(trusted_hops=1)
    metrics = Metrics(arena=arena)
    metrics.add_backend(StatsD(settings.statsd_host, settings.statsd_port, prefix="shop"))
    metrics.add_backend(Graphite(None, prefix="shop.web-1"))
    app = http.app(
        metrics=metrics,
        observe=observe_stack(metrics),
        prometheus=Prometheus(metrics),
        metrics_page="open",
        settings=settings,
        arena=arena,
    )
    prices = http.service(
        "prices",
        sd="static://127.0.0.1:9",
        around=call_stack(metrics),
        each=try_stack(breaker=partial(CircuitBreaker, shared=False)),
    )
    price: Endpoint[str, str] = prices.put("/price", returns=str, name="price")

    def buy(ctx: Context, word: str) -> str:
        if word in REFUSALS:
            raise REFUSALS[word]
        if word == "boom":
            raise RuntimeError(word)
        return price(ctx, word) if word == "price" else word

    def ping(ctx: Context, word: str) -> str:
        return word

    chained = server_stack(metrics, limit="1000/second")
    app.post("/buy", named("buy")(buy), chained)
    app.post("/v2/buy", named("buy.v2")(ping), chain(observe_stack(metrics)))
    app.post("/ping", ping)
    return app


def serve() -> http.App:
    """Build it as its environment says, for gunicorn."""
    return build(settings=Settings.from_env(trusted_hops=1))


WORDS = ("book", "book", "book", "price", "boom", *REFUSALS)
"""What to buy so that each panel has something to show."""

QUEUED = {"X-Request-Start": "9999999999999"}
"""Since when a request has waited: its sender's clock is ahead, so for no time at all."""
