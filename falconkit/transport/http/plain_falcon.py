"""What plain Falcon raises, beside our routes and under them, answered in our way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import falcon

from falconkit.context import Context, current
from falconkit.endpoint import Middleware
from falconkit.naming import named
from falconkit.transport.http.host import Host, watching
from falconkit.transport.http.problem import error_reply
from falconkit.transport.http.reply import Reply
from falconkit.transport.http.request import Request
from falconkit.transport.http.status import MethodNotAllowed, NoSuchPath

UNMATCHED: Final = "unmatched"
"""The one name under which what no route takes is logged and counted."""

_PAGES: Final = ("/debug/", "/health/")


class PlainFalcon:
    """The error handlers of an app.

    Args:
        observe: The layers that see what no route takes.
        host: What the app's servers share.

    Attributes:
        unmatched_endpoint: These layers, around nothing.
    """

    def __init__(self, observe: Middleware, host: Host) -> None:
        self._host = host
        self._watch = watching(observe, UNMATCHED)
        nobody: Callable[[Context, None], None] = named(UNMATCHED)(_nothing)
        self.unmatched_endpoint = observe(nobody)

    def install(self, app: falcon.App[Any, Any]) -> None:
        """Let ``app`` ask here what to answer to what is raised."""
        app.add_error_handler(Exception, self.on_error)
        app.add_error_handler(falcon.HTTPRouteNotFound, self.on_unmatched)
        app.add_error_handler(falcon.HTTPMethodNotAllowed, self.on_unmatched)
        app.set_error_serializer(self.serialize)

    def on_error(
        self, req: falcon.Request, resp: falcon.Response, ex: Exception, params: dict[str, Any]
    ) -> None:
        """Answer what a plain resource raised, by the same table as an endpoint's errors."""
        ctx = current.get() or Context()
        self._host.failed(ctx, ex)
        _fill(resp, error_reply(ctx, ex, req))

    def on_unmatched(
        self, req: falcon.Request, resp: falcon.Response, ex: Exception, params: dict[str, Any]
    ) -> None:
        """Answer 404 and 405, once the layers that observe have seen them."""
        error: Exception = NoSuchPath()
        if isinstance(ex, falcon.HTTPMethodNotAllowed):
            allow = dict(ex.headers or {}).get("Allow", "")
            error = MethodNotAllowed(tuple(filter(None, allow.split(", "))))
        _fill(resp, self.unmatched(error, req))

    def unmatched(self, error: Exception, req: falcon.Request) -> Reply:
        """Return the reply to a request that no route takes, and show it to who observes."""
        ctx = current.get() or Context()
        # A page that is neither logged nor counted stays so on a wrong method.
        if isinstance(error, NoSuchPath) or not ctx.path.startswith(_PAGES):
            try:
                self._watch(ctx, error)
            except Exception as seen:
                error = seen
        self._host.failed(ctx, error, UNMATCHED)
        # Nobody will read the body; while a server drains it, it holds a thread.
        if isinstance(req, Request) and req.has_body():
            req.env["falconkit.close"] = True
        return error_reply(ctx, error, req)

    def on_options(self, req: falcon.Request) -> None:
        """Show an OPTIONS request to the layers that observe."""
        self.unmatched_endpoint(current.get() or Context(), None)

    def serialize(
        self, req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError
    ) -> None:
        """Give one of Falcon's errors the body that ours have; Falcon sets the rest."""
        ctx = current.get() or Context()
        self._host.failed(ctx, error)
        reply = error_reply(ctx, error, req)
        reply.headers = [each for each in reply.headers if each[0] in ("Content-Type", "Vary")]
        _fill(resp, reply)


def _nothing(ctx: Context, request: None) -> None:
    pass


def _fill(resp: falcon.Response, reply: Reply) -> None:
    resp.status = reply.status
    for name, value in reply.headers:
        resp.append_header(name, value)
    resp.data = reply.body if isinstance(reply.body, bytes) else b"".join(reply.body)
