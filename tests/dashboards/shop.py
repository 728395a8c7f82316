"""An app with every layer that a dashboard has a panel for."""

from __future__ import annotations

from falconkit import Context, Endpoint, chain
from falconkit.arena import Arena
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


def build(arena: Arena | None = None, **backends: object) -> http.App:
    """Build it: what comes in as a word decides what becomes of the call."""
    metrics = Metrics(arena=arena)
    metrics.add_backend(StatsD(None, prefix="shop"))
    metrics.add_backend(Graphite(None, prefix="shop.web-1"))
    app = http.app(
        metrics=metrics,
        observe=observe_stack(metrics),
        prometheus=Prometheus(metrics),
        metrics_page="open",
        settings=Settings(trusted_hops=1),
        arena=arena,
    )
    prices = http.service(
        "prices",
        sd="static://127.0.0.1:9",
        around=call_stack(metrics),
        each=try_stack(),
    )
    price: Endpoint[str, str] = prices.get("/price", returns=str, name="price")

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
