"""What the servers of one app share, and how they show and log what goes wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import falcon

from falconkit.clock import Clock, system_clock
from falconkit.context import Context, Key
from falconkit.events import Events
from falconkit.naming import named
from falconkit.reporting import Reporter
from falconkit.transport.http.extractors import Start, start
from falconkit.transport.http.request import BodyLimits
from falconkit.transport.http.status import code_of, status_of

_REFUSAL: Final[Key[BaseException]] = Key("refusal")
_logger = logging.getLogger("falconkit.http")


@dataclass(slots=True)
class Host:
    """What all the servers of one app share.

    Attributes:
        start: Makes a request's first context.
        limits: How much body is taken, and how long we wait for it.
        events: Who hears what the concerns tell.
        clock: What tells the time.
        in_flight: Of each thread that serves a request: since when (seconds
            of the monotonic clock), and the request's context.
        draining: True when the process is about to end.
        options: Falcon's, for requests.
        left_to_falcon: Errors that a handler of Falcon's was added for.
        reporters: Who hears what endpoints raise.
    """

    start: Start = field(default_factory=start)
    limits: BodyLimits = field(default_factory=BodyLimits)
    events: Events = field(default_factory=Events)
    clock: Clock = system_clock
    in_flight: dict[int, tuple[float, Context]] = field(default_factory=dict)
    draining: bool = False
    options: falcon.RequestOptions | None = None
    left_to_falcon: tuple[type[BaseException], ...] = ()
    reporters: tuple[Reporter, ...] = ()

    def failed(self, ctx: Context, error: BaseException, endpoint: str = "") -> None:
        """Tell of an error: the log, when nobody foresaw it, and who hears of errors."""
        if isinstance(error, falcon.HTTPStatus):
            return
        foreseen = isinstance(error, falcon.HTTPError) or code_of(error) != "internal_error"
        for each in self.reporters:
            each.failed(error, ctx, endpoint, status=status_of(error), expected=foreseen)
        if not foreseen:
            _log_unknown(ctx, error)


def watching(
    observe: Callable[[Callable[[Context, Any], Any]], Callable[[Context, Any], Any]], name: str
) -> Callable[[Context, BaseException], Any]:
    """Return what shows an error to the layers that observe, and raises it.

    They meet a call of the name ``name`` whose request is None: it has its
    line and its count, and takes no token.
    """

    def refuse(ctx: Context, request: Any) -> Any:
        raise ctx.get(_REFUSAL, RuntimeError("a layer passed on a context of its own"))

    watched = observe(named(name)(refuse))
    return lambda ctx, error: watched(ctx.having(_REFUSAL, error), None)


def _log_unknown(ctx: Context, error: BaseException) -> None:
    """Log an error that the table does not know, with its traceback, and the request id."""
    _logger.error(
        "%s %s failed, request id %s",
        ctx.method,
        ctx.path,
        ctx.request_id,
        exc_info=(type(error), error, error.__traceback__),
    )
