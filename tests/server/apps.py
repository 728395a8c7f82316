"""Apps that the tests put under gunicorn: what is held, waits for a file."""

from __future__ import annotations

import ctypes
import json
import os
import threading
from pathlib import Path

from falconkit.tracing import LeanTracer
from falconkit.transport import http

HELD = Path(os.environ["HELD"])


def until_gone(name: str) -> None:
    """Leave a note that we wait, and wait until ``name`` is gone; for 20 s at most."""
    (HELD / f"{name}.{os.getpid()}.waits").touch()
    never = threading.Event()
    for _ in range(1000):
        if not (HELD / name).exists():
            return
        never.wait(0.02)


until_gone("import")


class Held:
    def on_get(self, req, resp, name):
        until_gone(name)
        resp.text = f"{os.getpid()}"


class Gil:
    def on_get(self, req, resp):
        ctypes.PyDLL(None).sleep(30)  # PyDLL keeps the interpreter's lock


class Environ:
    def on_get(self, req, resp):
        told = {name: value for name, value in req.env.items() if isinstance(value, str)}
        resp.text = json.dumps(told | {"pid": os.getpid(), "run": os.environ.get("FALCONKIT_RUN")})


app = http.app(debug_vars="open", tracer=LeanTracer("held"))
app.add_route("/held/{name}", Held())
app.add_route("/gil", Gil())
app.add_route("/environ", Environ())
close = app.close


def say_and_close():
    print(json.dumps({"app": "closed", "pid": os.getpid()}), flush=True)
    close()


app.close = say_and_close


def plain(env, start_response):
    """An app of no framework, which answers with its process id."""
    name = env["PATH_INFO"].strip("/")
    if name:
        until_gone(name)
    body = f"{os.getpid()}".encode()
    start_response("200 OK", [("Content-Length", str(len(body))), ("Content-Type", "text/plain")])
    return [body]
