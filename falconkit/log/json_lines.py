"""Lines of JSON: what log stores read."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from falconkit.log.formatter import LineFormatter
from falconkit.log.jsonable import Json
from falconkit.log.line import RequestLine

# What a terminal or a text tool takes for a control or for the end of a line,
# though JSON allows it bare: C1 controls (CSI is one), separators, changes of direction.
_UNSAFE = re.compile("[\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_PLAIN = frozenset((int, str, bool, float, type(None)))
_MOST_TYPES = 1_000
_MOST_KEYS = 64
_encode = msgspec.json.Encoder().encode
_encode_lines = msgspec.json.Encoder().encode_lines


class JsonFormatter(LineFormatter):
    """Writes a record as one line of JSON, whatever is in it.

    ``ts``, ``level``, ``logger``, ``message``; within a request its
    ``request_id``, ``trace_id`` and ``path``; the record's extras;
    ``exc_info`` and ``stack_info`` as text; ``"truncated": true`` when values
    were shortened.

    >>> import logging
    >>> record = logging.makeLogRecord({"name": "app", "msg": "hi", "levelname": "INFO"})
    >>> record.created, record.password = 0.0, "hunter2"
    >>> print(JsonFormatter().format(record)[-69:])
    "level":"info","logger":"app","message":"hi","password":"[redacted]"}
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._structs: dict[type, bool] = {}

    def render(self, fields: dict[str, Json]) -> bytes:
        """Return one line of JSON."""
        line = _encode(fields)
        if not line.isascii() or 127 in line:
            line = _UNSAFE.sub(_escape, line.decode()).encode()
        return line + b"\n"

    def request_line(self, line: RequestLine, limit: int = 0) -> bytes:
        """Return a request's line: encoded as it stands when all in it is plain."""
        # PERF: 0.5 us so, 25 us by way of jsonable() and fit(), which give the same line.
        request, result = line.request, line.result
        if (type(request) in _PLAIN or self._is_plain(request)) and (
            type(result) in _PLAIN or self._is_plain(result)
        ):
            if self.service:
                line.service = self.service
            try:
                text = _encode_lines((line,))
            except (ValueError, TypeError):  # a lone surrogate, an endless number
                return super().request_line(line, limit)
            # PERF: 127 and not b"\x7f", which bytes try as a number first: 0.12 us less.
            if text.isascii() and 127 not in text and len(text) < (limit or self.limit):
                return text
        return super().request_line(line, limit)

    def hiding_also(self, names: Any) -> Any:
        """Return a formatter like this one that hides further fields."""
        other = super().hiding_also(names)
        other._structs = {}
        return other

    def _is_plain(self, value: Any) -> bool:
        kind = type(value)
        if kind is dict:
            return len(value) <= _MOST_KEYS and all(map(self._is_plain_item, value.items()))
        known = self._structs.get(kind)
        if known is None:
            known = self._learn(kind)
        return known and _PLAIN.issuperset(map(type, msgspec.structs.astuple(value)))

    def _is_plain_item(self, item: tuple[Any, Any]) -> bool:
        name, value = item
        return (
            type(name) is str
            and type(value) in _PLAIN
            and len(name) <= _MOST_KEYS
            and not self.hides(name)
        )

    def _learn(self, kind: type) -> bool:
        """Decide whether msgspec writes this type as jsonable() would, with nothing to hide."""
        config = getattr(kind, "__struct_config__", None)
        plain = (
            issubclass(kind, msgspec.Struct)
            and config is not None
            and not (config.array_like or config.omit_defaults or config.tag is not None)
            and not any(map(self.hides, kind.__struct_fields__ + kind.__struct_encode_fields__))
        )
        if len(self._structs) >= _MOST_TYPES:
            self._structs.clear()
        self._structs[kind] = plain
        return plain


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
