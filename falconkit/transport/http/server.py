"""One endpoint as a Falcon resource: before, decode, chain, encode, after, finalizers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from threading import get_ident
from typing import Any, Final

import falcon
import msgspec

from falconkit.context import Context, current, keep_ids
from falconkit.errors import ConfigurationError
from falconkit.layers import observers
from falconkit.naming import innermost, name_of, named
from falconkit.transport.http import fields, infer
from falconkit.transport.http.answering import JSON_TYPE, checked, made, raise_failure
from falconkit.transport.http.codec import Decode, Encode, json_decoder, json_encoder
from falconkit.transport.http.extractors import Extractor
from falconkit.transport.http.host import Host, watching
from falconkit.transport.http.problem import EncodeError, error_reply
from falconkit.transport.http.reply import (
    BODILESS,
    Answer,
    Body,
    Finalizer,
    Finished,
    Reply,
    finish,
)
from falconkit.transport.http.request import Request
from falconkit.transport.http.wsgi import StartResponse, close_after, status_line

After = Callable[[Context, Reply], Reply | None]
"""``(context, reply) -> another reply``, or None when it changed this one's headers."""

METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")

_set_current = current.set
_reset_current = current.reset


class Server:
    """A Falcon resource that serves one endpoint, on any method it is asked by.

    >>> def greet(ctx: Context, who: str) -> str:
    ...     return f"hi {who}"
    >>> plain_falcon = falcon.App()
    >>> plain_falcon.add_route("/greet", Server(greet))

    Args:
        endpoint: ``(context, request) -> response``, with its chain around it.
        decode: Makes the request; from JSON, by the endpoint's annotation, when None.
        encode: Makes the reply; JSON when None.
        before: Extractors, after those that fill method, path, request id and caller.
        after: What may change a reply that is no error.
        encode_error: Makes the reply to what was raised.
        finalizers: What is told when the body is closed.
        name: The endpoint's name, when its function's will not do.
        status: The status of a success.
        methods: The methods that it takes.
        host: What it shares with the other servers of its app.

    Attributes:
        endpoint: With its chain around it.
        name: The endpoint's name.
        methods: The methods that it takes.

    Raises:
        ConfigurationError: The request's type cannot be inferred or decoded.
    """

    def __init__(
        self,
        endpoint: Callable[[Context, Any], Any],
        *,
        decode: Decode[Any] | None = None,
        encode: Encode[Any] | None = None,
        before: Sequence[Extractor] = (),
        after: Sequence[After] = (),
        encode_error: EncodeError = error_reply,
        finalizers: Sequence[Finalizer] = (),
        name: str | None = None,
        status: int = 200,
        methods: Sequence[str] = METHODS,
        host: Host | None = None,
    ) -> None:
        for what, functions in (("before", before), ("after", after), ("finalizers", finalizers)):
            if not all(callable(each) for each in functions):
                raise ConfigurationError(f"{what}={functions!r}: give a sequence of functions")
        self.endpoint = endpoint if name is None else named(name)(endpoint)
        self.name = name_of(self.endpoint)
        self._innermost = innermost(endpoint)
        self._decode = json_decoder(infer.request_type(endpoint)) if decode is None else decode
        self._encode = json_encoder() if encode is None else encode
        self._before = tuple(before)
        self._after = tuple(after)
        self._encode_error = encode_error
        self._finalizers = tuple(finalizers)
        self._status = status
        self._host = host = Host() if host is None else host
        # PERF: bound here once; a request looks up no more than it must.
        self._start = host.start
        self._events = host.events
        self._limits = host.limits
        self._now = host.clock.monotonic
        self._in_flight = host.in_flight
        self._dump = msgspec.json.encode if encode is None else None
        self._watch = watching(observers(self.endpoint), self.name)
        self.methods = tuple(methods)
        for method in methods:
            setattr(self, f"on_{method.lower()}", self.respond)

    def respond(self, req: falcon.Request, resp: falcon.Response, **params: Any) -> None:
        """Serve as a Falcon responder."""
        request = req if isinstance(req, Request) else Request(req.env, req.options)
        request.limits = self._limits
        request.path_params = params

        def start(status: str, headers: list[tuple[str, str]]) -> None:
            resp.status = status
            for name, value in headers:
                if name == "Connection":
                    req.env["falconkit.close"] = True
                else:
                    resp.append_header(name, value)

        body = self.answer(request, start)
        if isinstance(body, list):
            resp.data = b"".join(body)
        else:
            resp.stream = body

    def answer(self, request: Request, start_response: StartResponse) -> Iterable[bytes]:
        """Serve as a WSGI application does, with the request in place of the environ.

        PERF: what Falcon does around a responder for each request (a Response
        object, headers into a dict and out again, looks at its hooks) is 2 us,
        which an app whose routes are ours need not spend.
        """
        started = self._now()
        ctx = self._start(request, self._events)
        token = _set_current(ctx)
        thread = get_ident()
        self._in_flight[thread] = started, ctx
        try:
            try:
                for extract in self._before:
                    ctx = extract(request, ctx)
                    _set_current(ctx)
                    self._in_flight[thread] = started, ctx
                value = self._decode(ctx, request)
            except Exception as error:
                reply = self._refuse(ctx, error, request)
            else:
                try:
                    reply = self._reply(ctx, self.endpoint(ctx, value))
                except Exception as error:
                    reply = self._error(ctx, error, request)
            return self._send(ctx, reply, request, start_response, started)
        except BaseException as error:
            keep_ids(error, ctx)
            finish(self._finalizers, ctx, Finished(500, 0, self._now() - started))
            raise
        finally:
            _reset_current(token)
            self._in_flight.pop(thread, None)

    def _send(
        self,
        ctx: Context,
        reply: Reply,
        request: Request,
        start_response: StartResponse,
        started: float,
    ) -> Iterable[bytes]:
        status = reply.status
        headers = reply.headers
        body = reply.body
        bodiless = status in BODILESS
        headers.append(("X-Request-ID", ctx.request_id))
        headers += fields.note_fields(ctx.notes, self._innermost)
        whole = type(body) is bytes
        if whole and not bodiless:
            headers.append(("Content-Length", str(len(body))))  # type: ignore[arg-type]
        if request.unfinished or self._host.draining:
            close_after(start_response, headers)
        start_response("200 OK" if status == 200 else status_line(status), headers)
        if request.env["REQUEST_METHOD"] == "HEAD":
            bodiless = True
        if whole and not self._finalizers:
            # PERF: a list and no tuple: Granian sends a list at once and streams all else;
            # a request takes 58 us of the processor in place of 106.
            return [] if bodiless else [body]  # type: ignore[list-item]
        sent = Body(ctx, reply, self._finalizers, started, self._host.clock)
        if bodiless:
            sent.close()
            return []
        return sent

    def _reply(self, ctx: Context, response: Any) -> Reply:
        failed = getattr(response, "failed", None)
        if failed is not None and callable(failed):
            raise_failure(failed())
        if response is not None and type(response) is not Answer and not self._after:
            dump = self._dump
            encoded = self._encode(ctx, response) if dump is None else dump(response)
            if isinstance(encoded, bytes):
                return Reply(self._status, [JSON_TYPE], encoded)
            return checked(encoded)
        reply = made(ctx, response, self._encode, self._status)
        for change in self._after:
            reply = change(ctx, reply) or reply
        return checked(reply)

    def _refuse(self, ctx: Context, error: Exception, request: Request) -> Reply:
        try:
            self._watch(ctx, error)
        except Exception as seen:
            error = seen
        if request.has_body() and not request.was_read():
            request.unfinished = True
        return self._error(ctx, error, request)

    def _error(self, ctx: Context, error: Exception, request: Request) -> Reply:
        if isinstance(error, self._host.left_to_falcon):
            raise error
        self._host.failed(ctx, error, self.name)
        try:
            return checked(self._encode_error(ctx, error, request))
        except Exception as broken:
            self._host.failed(ctx, broken, self.name)
            return error_reply(ctx, broken, request)
