"""Lines for a person at a terminal."""

from __future__ import annotations

from typing import Any

from falconkit.log.formatter import LineFormatter
from falconkit.log.jsonable import Json
from falconkit.log.line import shown
from falconkit.log.pairs import escaped, pairs

_DIM, _RED, _YELLOW, _GREEN, _BOLD, _PLAIN = "2", "31", "33", "32", "1", "0"
_COLOUR = {"warning": _YELLOW, "error": _RED, "critical": _RED, "info": _GREEN}
_HEAD = ("ts", "level", "logger", "message", "method", "exc_info", "stack_info")


class ConsoleFormatter(LineFormatter):
    """Writes a record as a line to read; a traceback stands indented under it.

    Nothing that a request brings can move the cursor, change a colour or
    begin a line: control characters are written out.

    >>> import logging
    >>> record = logging.makeLogRecord({"name": "app", "msg": "up", "levelname": "INFO"})
    >>> record.created, record.port = 0.0, 8000
    >>> print(ConsoleFormatter(colour=False).format(record))
    00:00:00.000 INFO     app: up port=8000

    Args:
        colour: False for a terminal that has none.
    """

    def __init__(self, *args: Any, colour: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        self.colour = colour

    def render(self, fields: dict[str, Json]) -> bytes:
        """Return the line, and the traceback under it."""
        words = f"{fields.get('logger', '')}: {fields.get('message', '')}"
        rest = pairs((k, v) for k, v in fields.items() if k not in _HEAD)
        below = [str(fields[name]) for name in ("exc_info", "stack_info") if fields.get(name)]
        lines = [f"    {escaped(line)}" for text in below for line in text.split("\n")]
        return self._lines(fields, escaped(words), rest, lines)

    def render_request(self, fields: dict[str, Json]) -> bytes:
        """Return the article's fields after method and path."""
        words = escaped(f"{fields.get('method', '')} {fields.get('path', '')}")
        rest = {k: v for k, v in shown(fields).items() if k != "path" and (k, v) != ("err", None)}
        return self._lines(fields, words, pairs(rest.items()), [])

    def _lines(self, fields: dict[str, Json], words: str, rest: str, below: list[str]) -> bytes:
        level = str(fields.get("level", ""))
        first = " ".join(
            part
            for part in (
                self._in(_DIM, escaped(str(fields.get("ts", ""))[11:23])),
                self._in(_COLOUR.get(level, _BOLD), f"{escaped(level).upper():8}"),
                words,
                self._in(_DIM, rest),
            )
            if part
        )
        return "\n".join([first.rstrip(), *below, ""]).encode()

    def _in(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[{_PLAIN}m" if self.colour and text else text
