"""One app for the tests of the HTTP server, and what they ask of it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import msgspec
from falcon.testing import TestClient

from falconkit import Context
from falconkit.arena import Arena
from falconkit.endpoint import Endpoint, Middleware, Req, Res
from falconkit.layers import layer
from falconkit.metrics import Metrics
from falconkit.settings import Settings
from falconkit.testing import ManualClock
from falconkit.transport import http


class AddRequest(msgspec.Struct):
    v: int


class Seen:
    """What an observing layer saw: (endpoint, request, error or None)."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, Any, Any]] = []
        self.contexts: list[Context] = []

    def layer(self) -> Middleware:
        from falconkit import name_of

        @layer("watch", observes=True)
        def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
            def call(ctx: Context, request: Req) -> Res:
                self.contexts.append(ctx)
                try:
                    result = next(ctx, request)
                except BaseException as ex:
                    self.calls.append((name_of(next), request, ex))
                    raise
                self.calls.append((name_of(next), request, None))
                return result

            return call

        return wrap

    def kinds(self) -> list[tuple[str, str]]:
        return [(name, type(error).__name__) for name, _, error in self.calls]


def make(tmp_path: Any, **options: Any) -> http.App:
    settings = Settings(**options.pop("settings", {}))
    arena = Arena(tmp_path / "run")
    metrics = options.pop("metrics", None) or Metrics(arena=arena)
    clock = options.pop("clock", ManualClock())
    return http.app(settings=settings, metrics=metrics, arena=arena, clock=clock, **options)


def client(app: Any) -> TestClient:
    return TestClient(app)


def environ(method: str = "POST", path: str = "/add", body: bytes = b"", **more: Any) -> dict:
    env = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": "",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SCRIPT_NAME": "",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    if body:
        env["CONTENT_LENGTH"] = str(len(body))
    return env | more


def call(app: Callable[..., Any], env: dict) -> tuple[str, dict[str, str], bytes]:
    """Call a WSGI app by hand, as a server does, close() included."""
    answer: dict[str, Any] = {}

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        answer["status"] = status
        answer["headers"] = {name.lower(): value for name, value in headers}

    body = app(env, start_response)
    try:
        sent = b"".join(body)
    finally:
        close = getattr(body, "close", None)
        if close is not None:
            close()
    return answer["status"], answer["headers"], sent
