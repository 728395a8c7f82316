"""A service for ``falconkit top`` to look at."""

from __future__ import annotations

from falconkit import Context
from falconkit.log import setup
from falconkit.metrics import Metrics
from falconkit.presets import server_stack
from falconkit.settings import Settings
from falconkit.transport import http


def add(ctx: Context, v: int) -> int:
    if v < 0:
        raise KeyError("\x1b[2Jnegative [bold]")
    return v


def build() -> http.App:
    setup("json", "info")
    metrics = Metrics()
    app = http.app(settings=Settings.from_env(), metrics=metrics)
    app.post("/add", add, server_stack(metrics, limit="1000/second"))
    return app


app = build()
