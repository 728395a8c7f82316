"""Find the way of a request's line: straight to the handler when that is the same."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Protocol

from falconkit.errors import ConfigurationError
from falconkit.log.formatter import LineFormatter
from falconkit.log.handler import Handler, Sink
from falconkit.log.line import RequestLine
from falconkit.log.redact import hiding
from falconkit.log.setup import FORMATS

LOGGER = "falconkit.request"


class Route(Protocol):
    """Where the lines of requests go."""

    def enabled(self, level: int) -> bool:
        """Return whether a line of this level is wanted."""

    def write(self, level: int, line: RequestLine) -> None:
        """Write a line."""


def route_to(
    sink: Sink | None, logger: logging.Logger | None, redact: tuple[str, ...] | str, format: str
) -> Route:
    """Return the route to a sink, to a logger, or to where ``falconkit.request`` leads.

    Raises:
        ConfigurationError: The format or a name of ``redact`` cannot be used.
    """
    hiding(redact)
    if format not in FORMATS:
        raise ConfigurationError(f"format={format!r}: give one of {', '.join(FORMATS)}")
    if sink is not None:
        return SinkRoute(sink, FORMATS[format](redact=redact))
    return LoggerRoute(logging.getLogger(LOGGER) if logger is None else logger, tuple(redact))


class SinkRoute:
    """Lines to one place that the user has named."""

    __slots__ = ("_formatter", "_sink")

    def __init__(self, sink: Sink, formatter: LineFormatter) -> None:
        self._sink = sink
        self._formatter = formatter
        if isinstance(sink, Handler) and isinstance(sink.formatter, LineFormatter):
            names = formatter.redact
            self._formatter = sink.formatter.hiding_also(names) if names else sink.formatter

    def enabled(self, level: int) -> bool:
        """Return whether the sink takes lines of this level."""
        return not isinstance(self._sink, Handler) or level >= self._sink.level

    def write(self, level: int, line: RequestLine) -> None:
        """Write a line."""
        if isinstance(self._sink, Handler):
            self._sink.write_request(line, self._formatter)
        else:
            self._sink.write_line(self._formatter.request_line(line))


class LoggerRoute:
    """Lines through a logger.

    When our handler is all that its records meet, the line goes there without
    being made a record; that is looked at anew when handlers come or go.
    """

    __slots__ = (
        "_direct",
        "_formatter",
        "_given",
        "_known",
        "_logger",
        "_redact",
        "_root",
        "enabled",
    )

    def __init__(self, logger: logging.Logger, redact: tuple[str, ...]) -> None:
        self._logger = logger
        self._root = logging.getLogger()
        self._redact = redact
        self._direct: Handler | None = None
        self._formatter: LineFormatter = FORMATS["json"](redact=redact)
        self._given: logging.Formatter | None = None
        self._known: list[Any] = []
        self.enabled: Callable[[int], bool] = logger.isEnabledFor

    def write(self, level: int, line: RequestLine) -> None:
        """Write a line."""
        direct = self._direct
        # PERF: 0.1 us a line, so that a test's or Sentry's handler is never passed by.
        if (
            direct is None
            or (self._logger.handlers or self._root.handlers) != self._known
            or direct.formatter is not self._given
        ):
            direct = self._find()
        if direct is None:
            self._log(level, line)
        elif level >= direct.level:
            direct.write_request(line, self._formatter)

    def _find(self) -> Handler | None:
        self._direct = None
        handlers: list[logging.Handler] = []
        at: logging.Logger | None = self._logger
        while at is not None:
            handlers += at.handlers
            at = at.parent if at.propagate else None
        if len(handlers) != 1 or self._logger.filters or handlers[0].filters:
            return None
        only = handlers[0]
        if isinstance(only, Handler) and isinstance(only.formatter, LineFormatter):
            names = self._redact
            self._formatter = only.formatter.hiding_also(names) if names else only.formatter
            self._known = [only]
            self._given = only.formatter
            self._direct = only
        return self._direct

    def _log(self, level: int, line: RequestLine) -> None:
        # Made safe here: other people's formatters neither redact nor shorten.
        fields = self._formatter.safe(line.fields())
        line.request, line.result = fields["request"], fields["result"]
        extra = {name: value for name, value in fields.items() if name not in ("ts", "level")}
        self._logger.log(level, line, extra=extra)
