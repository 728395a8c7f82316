"""Set up the process's log: one call, at the start."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from typing import IO, Any

from falconkit.errors import ConfigurationError
from falconkit.log.console import ConsoleFormatter
from falconkit.log.formatter import LineFormatter
from falconkit.log.handler import LOG_WAIT, Handler
from falconkit.log.hooks import install_hooks
from falconkit.log.json_lines import JsonFormatter
from falconkit.log.logfmt import LogfmtFormatter

FORMATS: dict[str, Callable[..., LineFormatter]] = {
    "json": JsonFormatter,
    "logfmt": LogfmtFormatter,
    "console": ConsoleFormatter,
}
"""The formats of a line, by the names that ``LOG_FORMAT`` takes."""

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def setup(
    format: str = "auto",
    level: str = "INFO",
    redact: Iterable[str] = (),
    stream: IO[Any] | None = None,
    service: str = "",
    *,
    wait: float = LOG_WAIT,
) -> Handler:
    r"""Send everything that logs through one `Handler`, one line each.

    The root logger, warnings, and exceptions that nobody caught, in threads
    too. Handlers of others on the root logger stay. Calling it again replaces
    what the first call set up.

    >>> import io
    >>> out = io.StringIO()
    >>> handler = setup("logfmt", stream=out)
    >>> logging.getLogger("app").info("up", extra={"port": 8000})
    >>> out.getvalue().split(maxsplit=1)[1]
    'level=info logger=app msg=up port=8000\n'
    >>> logging.getLogger().removeHandler(handler)

    Args:
        format: ``json``, ``logfmt``, ``console``, or ``auto``: console on a
            terminal, json elsewhere.
        level: The least serious level that is written.
        redact: Names of fields to hide, beside the usual ones.
        stream: Where to write; stdout when None.
        service: Written as ``service`` in each line, unless empty.
        wait: Seconds that a line waits for room in a full pipe.

    Raises:
        ConfigurationError: The format, the level or a name cannot be used.
    """
    if str(level).upper() not in _LEVELS:
        raise ConfigurationError(f"LOG_LEVEL={level!r}: give one of {', '.join(_LEVELS)}")
    formatter = formatter_for(format, stream, redact=redact, service=service)
    handler = Handler(stream, formatter=formatter, wait=wait)
    root = logging.getLogger()
    for old in [each for each in root.handlers if isinstance(each, Handler)]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(str(level).upper())
    install_hooks()
    return handler


def formatter_for(
    format: str = "auto",
    stream: IO[Any] | None = None,
    *,
    redact: Iterable[str] = (),
    service: str = "",
) -> LineFormatter:
    """Return the formatter of a name in `FORMATS`, or the one that fits the stream.

    >>> formatter_for("xml")
    Traceback (most recent call last):
    falconkit.errors.ConfigurationError: LOG_FORMAT='xml': give one of auto, json, logfmt, console

    Raises:
        ConfigurationError: There is none of that name.
    """
    if format == "auto":
        format = "console" if _is_terminal(sys.stdout if stream is None else stream) else "json"
    if format not in FORMATS:
        raise ConfigurationError(
            f"LOG_FORMAT={format!r}: give one of {', '.join(('auto', *FORMATS))}"
        )
    return FORMATS[format](redact=redact, service=service)


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError, OSError):
        return False
