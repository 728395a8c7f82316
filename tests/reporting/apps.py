"""A service for the tests that start a gunicorn: its errors go into a file for each worker."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from falconkit import Context
from falconkit.errors import Overloaded
from falconkit.log import setup
from falconkit.metrics import Metrics
from falconkit.presets import server_stack
from falconkit.reporting import Report
from falconkit.settings import Settings
from falconkit.transport import http

TOLD = Path(os.environ["TOLD"])


class ToFile:
    """Keeps the reports in memory until the end, unless they are wanted at once."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []

    def __call__(self, report: Report) -> None:
        if "HANGS" in os.environ:
            threading.Event().wait()
        self.kept.append(
            {
                "kind": report.kind,
                "message": report.message,
                "request_id": report.request_id,
                "endpoint": report.endpoint,
                "path": report.path,
                "traceback": report.traceback,
                "details": dict(report.details),
                "pid": os.getpid(),
            }
        )
        if "AT_ONCE" in os.environ:
            self.close()

    def close(self) -> None:
        with (TOLD / f"{os.getpid()}.json").open("a") as out:
            for each in self.kept:
                out.write(json.dumps(each) + "\n")
        self.kept = []


def build() -> http.App:
    setup("json", "info")
    metrics = Metrics()
    app = http.app(settings=Settings.from_env(debug_vars="open"), metrics=metrics)
    app.on_error(ToFile(), per_minute=1000)
    stack = server_stack(metrics)

    def boom(ctx: Context, v: int) -> int:
        raise KeyError(f"v is {v}")

    def busy(ctx: Context, v: int) -> int:
        raise Overloaded

    def stuck(ctx: Context, v: int) -> int:
        (TOLD / "stuck").touch()
        threading.Event().wait()
        return v

    app.post("/boom", boom, stack)
    app.post("/busy", busy, stack)
    app.post("/stuck", stuck, stack)
    return app


app = build()
