"""One instance for `test_instances`: it writes down each addition, and is slow when told.

``LEDGER`` names the file that all instances write to, ``SLOW`` the one whose presence makes
this one slow.
"""

from __future__ import annotations

import os
import time

from falconkit import Context
from falconkit.settings import Settings
from falconkit.transport import http


def build() -> http.App:
    ledger = os.open(os.environ["LEDGER"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    slow = os.environ["SLOW"]
    app = http.app(settings=Settings.from_env())

    def take() -> None:
        if os.path.exists(slow):
            time.sleep(0.2)

    def add(ctx: Context, name: str) -> str:
        take()
        os.write(ledger, f"{name}\n".encode())
        return name

    def total(ctx: Context, name: str) -> str:
        take()
        return name

    app.post("/add", add)
    app.get("/total/{name}", total)
    return app


app = build()
