"""Lines of the log that tell of errors which no request raised."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Final

_TOLD_ELSEWHERE: Final = ("falconkit.request", "falconkit.reporting")
"""A request's line, whose error is reported as such; and our own troubles."""


class Records(logging.Handler):
    """Gives what some loggers log at ``error`` and above to a function.

    >>> import io
    >>> records = Records(lambda record: print(record.getMessage()), ["shop"])
    >>> records.begin()
    >>> logging.getLogger("shop.stock").error("the shelf fell over")
    the shelf fell over
    >>> records.end()

    Args:
        hear: Takes a record.
        loggers: Their names; ``""`` for all.
    """

    def __init__(self, hear: Callable[[logging.LogRecord], None], loggers: Iterable[str]) -> None:
        super().__init__(logging.WARNING)
        self._hear = hear
        self._loggers = tuple(loggers)

    def begin(self) -> None:
        """Hear them from now on."""
        for name in self._loggers:
            logging.getLogger(name).addHandler(self)

    def end(self) -> None:
        """Hear them no more."""
        for name in self._loggers:
            logging.getLogger(name).removeHandler(self)

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a record, without the lock that a handler of a stream needs."""
        if record.levelno >= logging.ERROR and not record.name.startswith(_TOLD_ELSEWHERE):
            self._hear(record)
        if logging.lastResort is not None and self._is_alone(record.name):
            logging.lastResort.handle(record)  # as Python does where nobody handles a line
        return True

    def _is_alone(self, name: str) -> bool:
        logger: logging.Logger | None = logging.getLogger(name)
        found: list[logging.Handler] = []
        while logger is not None:
            found += logger.handlers
            logger = logger.parent if logger.propagate else None
        return all(isinstance(each, Records) for each in found) and found[:1] == [self]
