"""What all line formats share: the fields of a record, safe, redacted and bounded."""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Self

from pythonjsonlogger.json import JsonFormatter as PythonJsonFormatter

from falconkit.context import context_of, current
from falconkit.log.fit import LIMIT, fit
from falconkit.log.jsonable import Json, Walk
from falconkit.log.line import RequestLine
from falconkit.log.parts import has_parts
from falconkit.log.redact import hiding
from falconkit.log.stamp import Stamp
from falconkit.log.text import clean, error_text

_OURS = ("ts", "level", "logger", "message")
_MOST_FIELDS = 256


class LineFormatter(PythonJsonFormatter):
    """A python-json-logger formatter of which no record is ever lost.

    Its options (``rename_fields``, ``static_fields``, ``defaults``, ...) are
    python-json-logger's. Subclasses say how the fields are written.

    Args:
        redact: Names of fields to hide, beside the usual ones.
        service: Written as ``service`` in each line, unless empty.
        limit: A line has fewer bytes than this, newline included.
    """

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: str = "%",
        *,
        redact: Iterable[str] = (),
        service: str = "",
        limit: int = LIMIT,
        **options: Any,
    ) -> None:
        super().__init__(fmt, datefmt, style, **options)
        self.redact = redact if isinstance(redact, str) else tuple(redact)
        self.limit = limit
        self.service = service
        self.hides: Callable[[str], bool] = hiding(self.redact)
        self._stamp = Stamp()

    def hiding_also(self, names: Iterable[str]) -> Self:
        """Return a formatter like this one that hides further fields."""
        other = copy.copy(self)
        other.redact = (*self.redact, *names)
        other.hides = hiding(other.redact)
        return other

    def render(self, fields: dict[str, Json]) -> bytes:
        """Return one record's line, newline included."""
        raise NotImplementedError

    def render_request(self, fields: dict[str, Json]) -> bytes:
        """Return one request's line, newline included."""
        return self.render(fields)

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's line without its newline, as `logging` asks."""
        return self.record_line(record)[:-1].decode()

    def record_line(self, record: logging.LogRecord, limit: int = 0) -> bytes:
        """Return the record's line, newline included, in fewer than ``limit`` bytes."""
        if isinstance(record.msg, RequestLine):
            return self.request_line(record.msg, limit)
        try:
            fields = self._fields(record)
        except Exception as error:
            fields = self._bare_fields(record, error)
        return fit(fields, limit or self.limit, self.render)

    def request_line(self, line: RequestLine, limit: int = 0) -> bytes:
        """Return a request's line, newline included, in fewer than ``limit`` bytes."""
        fields = self.safe(line.fields() | ({"service": self.service} if self.service else {}))
        return fit(fields, limit or self.limit, self.render_request)

    def add_fields(
        self,
        log_data: dict[str, Any],
        record: logging.LogRecord,
        message_dict: dict[str, Any],
    ) -> None:
        """Put the schema's fields first, the request's ids, then the record's own."""
        own: dict[str, Any] = {}
        super().add_fields(own, record, message_dict)
        ours: dict[str, Any] = {
            "ts": self._stamp.of(record.created),
            "level": str(record.levelname).lower(),
            "logger": record.name,
            "message": message_dict.get("message", record.message),
        }
        if isinstance(record.msg, dict):
            own.pop("message", None)
        ctx = current.get()
        if ctx is None and record.exc_info:
            ctx = context_of(record.exc_info[1])
        if ctx is not None:
            ours["request_id"] = ctx.request_id
            trace_id = ctx.span.trace_id if ctx.span is not None else ""
            if trace_id:
                ours["trace_id"] = trace_id
            ours["path"] = ctx.path
        if self.service:
            ours["service"] = self.service
        log_data.update({self._get_rename(name): value for name, value in ours.items()})
        for name, value in own.items():
            # An extra may not pass for the record's level, say; nor is it lost.
            log_data[f"{name}_" if name in _OURS and log_data.get(name) != value else name] = value

    def _fields(self, record: logging.LogRecord) -> dict[str, Json]:
        record = copy.copy(record)
        record.message = "" if isinstance(record.msg, dict) else self._message(record)
        message_dict: dict[str, Any] = dict(record.msg) if isinstance(record.msg, dict) else {}
        if record.exc_info and record.exc_info[0] is not None:
            message_dict.setdefault("exc_info", self._traceback(record.exc_info))
        elif record.exc_text:
            message_dict.setdefault("exc_info", record.exc_text)
        if record.stack_info:
            message_dict.setdefault("stack_info", self.formatStack(record.stack_info))
        if "asctime" in self._required_fields:
            record.asctime = self.formatTime(record, self.datefmt)
        log_data: dict[str, Any] = {}
        self.add_fields(log_data, record, message_dict)
        return self.safe(self.process_log_record(log_data))

    def safe(self, fields: dict[str, Any]) -> dict[str, Json]:
        """Return fields as any line can carry them, with nothing in them that is to be hidden."""
        safe: dict[str, Json] = {}
        cut = len(fields) > _MOST_FIELDS
        for name, value in islice(fields.items(), _MOST_FIELDS):
            # Each field has a walk of its own: a huge one leaves the others their room.
            walk = Walk(self.hides)
            walk.put(safe, name, value)
            cut = cut or walk.cut
        return safe | {"truncated": True} if cut else safe

    def _message(self, record: logging.LogRecord) -> str:
        try:
            if record.args:
                record.args = self._seen(record.args)
            return record.getMessage()
        except Exception as error:
            walk = Walk(self.hides)
            return (
                f"{walk.of(record.msg)} {walk.of(record.args)} <not formatted: {error_text(error)}>"
            )

    def _seen(self, args: Any) -> Any:
        """Return a message's arguments, hidden fields replaced where a container has any."""
        if isinstance(args, tuple):
            return tuple(self._seen_one(arg) for arg in args)
        return self._seen_one(args)

    def _seen_one(self, arg: Any) -> Any:
        if not has_parts(arg):
            return arg
        walk = Walk(self.hides)
        hidden = walk.of(arg)
        return hidden if walk.redacted else arg

    def _traceback(self, exc_info: Any) -> Any:
        try:
            return self.formatException(exc_info)
        except Exception:
            return error_text(exc_info[1])

    def _bare_fields(self, record: logging.LogRecord, error: Exception) -> dict[str, Json]:
        return {
            "ts": self._stamp.of(record.created),
            "level": clean(str(record.levelname).lower()),
            "logger": clean(str(record.name)),
            "message": Walk(self.hides).of(record.msg),
            "log_error": Walk().of(error),
        }
