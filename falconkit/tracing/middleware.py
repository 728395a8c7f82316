"""Open a span around every call of an endpoint."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from falconkit.context import ATTEMPT, Context, current
from falconkit.endpoint import Endpoint, Middleware, Req, Res
from falconkit.errors import ConfigurationError
from falconkit.layers import layer
from falconkit.naming import inward, name_of
from falconkit.tracing.span import Callee, Kind, Span, Tracer
from falconkit.tracing.verdict import annotation_of, caller_s_fault, words_of

_LOG = logging.getLogger("falconkit.tracing")
_KINDS = ("server", "client", "producer", "consumer", "local")
_MOST_TYPES = 256
_set_current, _reset_current = current.set, current.reset


def trace(tracer: Tracer, *, name: str | None = None, kind: Kind | None = None) -> Middleware:
    """Open a span around each call: of a server, of a client, of each try of a retry.

    Place it inside `log` and outside of all the rest, so that its time is the call's. It
    is closed however the call ends: a business failure is a tag, an error
    marks the span, a refusal, an open circuit and a timeout are annotated.

    >>> from falconkit.tracing import LeanTracer, SpanList
    >>> spans = SpanList()
    >>> @trace(LeanTracer("counter", reporter=spans))
    ... def add(ctx: Context, v: int) -> int:
    ...     return v
    >>> add(Context(), 1)
    1
    >>> [(span.name, span.kind) for span in spans]
    [('add', 'local')]

    Args:
        tracer: Opens the spans.
        name: The span's name; the endpoint's when None.
        kind: What the span is of. When None: ``client`` around a client endpoint,
            ``server`` around the first endpoint that a request meets, else ``local``.

    Raises:
        ConfigurationError: ``tracer`` is none, or the kind is unknown.
    """
    _check(tracer, name, kind)
    open_ = tracer.open

    @layer("trace", observes=True, tracer=repr(tracer))
    def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        called = name or name_of(next)
        # Of a span that names one Zipkin makes a call, whatever its kind.
        callee = None if kind == "local" else callee_of(next)
        of = kind or (None if callee is None else "client")
        served = of in (None, "server", "consumer")
        note = _noting(served)

        def call(ctx: Context, request: Req) -> Res:
            span = open_(ctx, called, of, callee)
            if not span.recording:
                if span is ctx.span:
                    return next(ctx, request)
                # A span that nobody will see, so that the log has its ids. PERF: here and not
                # in a function of its own, 0.04 us less.
                unseen = ctx.inside(span)
                token = _set_current(unseen)
                try:
                    return next(unseen, request)
                finally:
                    _reset_current(token)
            attempt = ctx.get(ATTEMPT)
            if attempt is not None:
                span.tag("retry.attempt", attempt)
            inner = ctx.inside(span)
            token = _set_current(inner)
            try:
                result = next(inner, request)
            except BaseException as error:
                note(span, None, error)
                raise
            else:
                note(span, result, None)
                return result
            finally:
                _reset_current(token)
                span.finish()

        return call

    return wrap


def _check(tracer: object, name: str | None, kind: str | None) -> None:
    if not (callable(getattr(tracer, "open", None)) and callable(getattr(tracer, "join", None))):
        raise ConfigurationError(f"trace() wants a tracer, as LeanTracer is one, got {tracer!r}")
    if kind is not None and kind not in _KINDS:
        raise ConfigurationError(f"kind={kind!r}: give one of {', '.join(_KINDS)}")
    if name is not None and not name.strip():
        raise ConfigurationError(f"a span's name cannot be empty, got {name!r}")


def callee_of(endpoint: Callable[..., Any]) -> Callee | None:
    """Return whom an endpoint calls: a client says it by ``service``, and ``url``.

    >>> class Users:
    ...     service, url = "users", "http://10.0.0.7:8000/users"
    ...     def __call__(self, ctx: Context, request: object) -> None: ...
    >>> callee_of(Users())
    Callee(service='users', host='10.0.0.7', port=8000)
    """
    for each in inward(endpoint):
        service = getattr(each, "service", None)
        if isinstance(service, str) and service:
            url = getattr(each, "url", None)
            parts = urlsplit(url if isinstance(url, str) else "")
            return Callee(service, parts.hostname or "", parts.port or 0)
    return None


def _noting(served: bool) -> Callable[[Span, Any, BaseException | None], None]:
    plain: set[type] = set()

    def note(span: Span, result: Any, error: BaseException | None) -> None:
        # PERF: 0.07 us for a result whose type was seen before.
        if error is None and type(result) in plain:
            return
        try:
            if error is not None:
                _tell(span, error, served)
                return
            failed = getattr(type(result), "failed", None)
            if callable(failed):
                failure = failed(result)
                if isinstance(failure, BaseException):
                    span.tag("failed", words_of(failure))
            elif len(plain) < _MOST_TYPES:
                plain.add(type(result))
        except Exception as broken:
            _LOG.warning("a span could not be told how its call ended: %s", type(broken).__name__)

    return note


def _tell(span: Span, error: BaseException, served: bool) -> None:
    what = annotation_of(error)
    if what is not None:
        span.annotate(what)
    tag = caller_s_fault(error, served=served)
    if tag is None:
        span.fail(error)
    else:
        span.tag(tag, words_of(error))
