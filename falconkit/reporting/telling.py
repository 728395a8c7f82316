"""Make reports: of errors, of events, of lines of the log."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Hashable, Iterable, Mapping
from typing import Any, Final

from falconkit.clock import Clock
from falconkit.context import Context
from falconkit.events import Event
from falconkit.log.fit import shorten
from falconkit.log.jsonable import Json, jsonable
from falconkit.log.redact import hiding
from falconkit.log.text import error_text
from falconkit.reporting.frames import forget_locals
from falconkit.reporting.report import LONGEST_MESSAGE, Report, place, shown

LARGEST_DETAILS: Final = 8_000
_MARK: Final = "_falconkit_told"
_WORD_START: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_OF_A_RECORD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class Telling:
    """Makes reports of what happened.

    Args:
        clock: What tells the time.
        redact: Names of fields to hide, beside the usual ones.
        keep_locals: Whether an exception's frames keep their variables.
    """

    def __init__(self, clock: Clock, *, redact: Iterable[str] = (), keep_locals: bool) -> None:
        self._clock = clock
        self._hides = hiding(redact)
        self._keep_locals = keep_locals

    def of_error(
        self,
        error: BaseException,
        ctx: Context | None,
        *,
        details: Mapping[str, Any] | None = None,
        **fields: Any,
    ) -> Report:
        """Report an error that was raised; its frames lose their variables."""
        if not self._keep_locals:
            forget_locals(error)
        return Report(
            message=shown(error_text(error), LONGEST_MESSAGE),
            error=error,
            at=self._clock.time(),
            details=self._bounded(details or {}),
            **place(ctx),
            **fields,
        )

    def of_event(self, event: Event, ctx: Context | None, repeated: int) -> Report:
        """Report what a concern told of."""
        details = {each.name: getattr(event, each.name) for each in dataclasses.fields(event)}
        return Report(
            kind="event",
            message=_name_of(event),
            expected=True,
            at=self._clock.time(),
            repeated=repeated,
            details=self._bounded(details),
            **place(ctx),
        )

    def of_record(
        self,
        record: logging.LogRecord,
        error: BaseException | None,
        ctx: Context | None,
        repeated: int,
    ) -> Report:
        """Report a line of the log."""
        extras = {name: vars(record)[name] for name in vars(record).keys() - _OF_A_RECORD}
        if ctx is None:  # the watchdog's and the abort's lines name theirs
            path, request_id = (str(extras.pop(name, "")) for name in ("path", "request_id"))
            ctx = Context(path=path, request_id=request_id)
        if error is not None and not self._keep_locals:
            forget_locals(error)
        return Report(
            kind="log",
            message=shown(record.getMessage(), LONGEST_MESSAGE),
            error=error,
            at=self._clock.time(),
            repeated=repeated,
            details=self._bounded({"logger": record.name} | extras),
            **place(ctx),
        )

    def kind_of(self, event: Event) -> Hashable:
        """Return what makes two events alike: their class, and what they are about."""
        first = next(iter(dataclasses.fields(event)), None)
        return type(event), None if first is None else str(getattr(event, first.name))

    def _bounded(self, details: Mapping[str, Any]) -> dict[str, Json]:
        if not details:
            return {}
        found = shorten(jsonable(details, hides=self._hides), LARGEST_DETAILS)
        return _scrubbed(found) if isinstance(found, dict) else {}


def was_told(error: BaseException, teller: object) -> bool:
    """Return whether ``teller`` was told of ``error`` before; from now on it was.

    One error may be raised by an endpoint, logged by us and logged once more by the server.
    """
    try:
        told = vars(error).setdefault(_MARK, set())
        before = id(teller) in told
        told.add(id(teller))
    except Exception:
        return False  # an exception of a very strange make
    return before


def _name_of(event: Event) -> str:
    return _WORD_START.sub(" ", type(event).__name__).lower()


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return shown(value, LARGEST_DETAILS)
    if isinstance(value, dict):
        return {name: _scrubbed(each) for name, each in value.items()}
    return [_scrubbed(each) for each in value] if isinstance(value, list) else value
