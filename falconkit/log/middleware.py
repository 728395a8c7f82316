"""Log each call: one line, written when it ends."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from math import floor
from typing import Any

from msgspec import UNSET

from falconkit.clock import Clock, system_clock
from falconkit.context import Context
from falconkit.endpoint import Endpoint, Middleware, Req, Res
from falconkit.errors import ConfigurationError
from falconkit.layers import layer
from falconkit.log.handler import Sink
from falconkit.log.line import RequestLine
from falconkit.log.outcome import level_of, words_of
from falconkit.log.route import Route, route_to
from falconkit.log.stamp import Stamp
from falconkit.naming import name_of

_LEVEL_NAMES = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
}
_PLAIN = frozenset((int, str, bool, float, dict, list, type(None)))


def log(
    *,
    sink: Sink | None = None,
    logger: logging.Logger | None = None,
    redact: Iterable[str] = (),
    format: str = "json",
    client: bool = False,
    clock: Clock = system_clock,
) -> Middleware:
    """Write one line for each call: path, request, result, err, request id, elapsed time.

    Place it outermost, so that it tells what the others refuse. The line goes
    to the handler that `falconkit.log.setup` installed; without one, to the
    logger ``falconkit.request`` as any record does. A call that raises what
    nobody foresaw is an error; its traceback is the transport's to log.

    >>> from falconkit.testing import ManualClock
    >>> class Lines:
    ...     def write_line(self, line: bytes, /) -> None:
    ...         print(line.decode(), end="")
    >>> @log(sink=Lines(), format="logfmt", clock=ManualClock())
    ... def add(ctx: Context, v: int) -> int:
    ...     return v
    >>> add(Context(path="/add", request_id="r-1"), 1)
    path=/add request=1 result=1 err=null request_id=r-1 elapsed=0s
    1

    Args:
        sink: Where to write instead, all levels.
        logger: The logger to use instead of ``falconkit.request``.
        redact: Names of fields to hide, beside those of the handler.
        format: The format for a sink that is no `Handler`: ``json``,
            ``logfmt`` or ``console``.
        client: True around what we call. Its lines say in ``call`` what that was, beside
            the path of the request that we serve, and a call that went well is told at
            ``debug``: a request leaves one line, and one more for each call that failed.
        clock: Tells the time and how much of it a call took.

    Raises:
        ConfigurationError: The format is unknown, a name cannot be used, or
            both a sink and a logger are given.
    """
    if sink is not None and logger is not None:
        raise ConfigurationError("log() got a sink and a logger: give the one that is meant")
    names = redact if isinstance(redact, str) else tuple(redact)
    route_to(sink, logger, names, format)  # raises now what cannot work

    @layer("log", observes=True, redact=names)
    def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        route = route_to(sink, logger, names, format)
        tell = _teller(route, clock, name_of(next) if client else None)
        monotonic = clock.monotonic

        def call(ctx: Context, request: Req) -> Res:
            started = monotonic()
            try:
                result = next(ctx, request)
            except BaseException as error:
                tell(ctx, request, None, error, monotonic() - started)
                raise
            tell(ctx, request, result, None, monotonic() - started)
            return result

        return call

    return wrap


def _teller(route: Route, clock: Clock, called: str | None) -> Callable[..., None]:
    now, stamp, failers = clock.time, Stamp().of, _Failers()
    enabled, write = route.enabled, route.write
    well = logging.INFO if called is None else logging.DEBUG
    call = UNSET if called is None else called

    def tell(
        ctx: Context, request: Any, result: Any, error: BaseException | None, elapsed: float
    ) -> None:
        try:
            failure, level = error, well
            if error is not None:
                level = level_of(error)
            elif type(result) not in _PLAIN:
                failure = failers.failure(result)
            if not enabled(level):
                return
            span = ctx.span
            line = RequestLine(
                stamp(now()),
                _LEVEL_NAMES[level],
                ctx.method,
                ctx.path,
                request,
                result,
                None if failure is None else words_of(failure),
                ctx.request_id,
                UNSET if span is None else span.trace_id or UNSET,
                floor(elapsed * 1e9 + 0.5) / 1e9,  # PERF: round() is 0.15 us more, int() 0.05
                UNSET,
                call,
            )
            write(level, line)
        except Exception:
            logging.getLogger("falconkit.log").exception(
                "the line of request %s could not be written", ctx.request_id
            )

    return tell


class _Failers:
    """Remembers which types of results can carry a failure."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[type, bool] = {}

    def failure(self, result: Any) -> BaseException | None:
        """Return the failure that a result carries, or None."""
        kind = type(result)
        known = self._known.get(kind)
        if known is None:
            if len(self._known) > 1_000:
                self._known.clear()
            known = self._known[kind] = callable(getattr(kind, "failed", None))
        if not known:
            return None
        try:
            failed = result.failed()
        except Exception as error:
            return error
        return failed if isinstance(failed, BaseException) else None
