"""Lines of ``key=value``, as go-kit and Heroku's router write them."""

from __future__ import annotations

from falconkit.log.formatter import LineFormatter
from falconkit.log.jsonable import Json
from falconkit.log.line import shown
from falconkit.log.pairs import pairs


class LogfmtFormatter(LineFormatter):
    r"""Writes a record as one line of logfmt, quoted as go-logfmt does.

    A request's line has the fields of the article's and no others (and
    ``trace_id`` when there is one). Other records have those of
    `JsonFormatter`, ``message`` being ``msg`` as go-kit calls it.
    Objects and lists are written as JSON.

    >>> import logging
    >>> record = logging.makeLogRecord({"name": "app", "msg": "two\nlines", "levelname": "INFO"})
    >>> record.created = 0.0
    >>> print(LogfmtFormatter().format(record))
    ts=1970-01-01T00:00:00.000000Z level=info logger=app msg="two\nlines"
    """

    def render(self, fields: dict[str, Json]) -> bytes:
        """Return one line of logfmt."""
        named = ((("msg" if name == "message" else name), value) for name, value in fields.items())
        return pairs(named).encode() + b"\n"

    def render_request(self, fields: dict[str, Json]) -> bytes:
        """Return the article's line."""
        return pairs(shown(fields).items()).encode() + b"\n"
