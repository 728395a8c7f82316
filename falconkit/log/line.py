"""The one line that a request leaves in the log."""

from __future__ import annotations

from typing import Any, cast

import msgspec
from msgspec import UNSET, UnsetType

from falconkit.log.duration import go_duration
from falconkit.log.jsonable import Json, jsonable
from falconkit.log.pairs import pairs


class RequestLine(msgspec.Struct, gc=False):
    """What is known of one call, in the order in which it is written.

    Attributes:
        ts: When it ended, RFC 3339 in UTC.
        level: ``info``, ``warning`` or ``error``.
        method: As the context has it.
        path: As the context has it.
        request: What the endpoint was given; None when it could not be decoded.
        result: What it returned; None when it raised.
        err: What it raised or what failed, in words.
        request_id: As the context has it.
        trace_id: The trace's, when there is one.
        elapsed: Seconds.
        service: The service's name, when the formatter was given one.
        call: What was called, when the line is of a call that we made.

    Its text is the line of go-kit's counter service:

    >>> print(RequestLine("", "info", "POST", "/add", 1, 1, None, "r-1", elapsed=30.206e-6))
    path=/add request=1 result=1 err=null request_id=r-1 elapsed=30.206µs
    """

    ts: str
    level: str
    method: str
    path: str
    request: Any = None
    result: Any = None
    err: str | None = None
    request_id: str = ""
    trace_id: str | UnsetType = UNSET
    elapsed: float = 0.0
    service: str | UnsetType = UNSET
    call: str | UnsetType = UNSET

    def fields(self) -> dict[str, Any]:
        """Return what is set, by name, in order."""
        values = ((name, getattr(self, name)) for name in self.__struct_fields__)
        return {name: value for name, value in values if value is not UNSET}

    def __str__(self) -> str:
        return pairs(shown(cast(dict[str, Json], jsonable(self.fields()))).items())


SHOWN = (
    "path",
    "call",
    "request",
    "result",
    "err",
    "request_id",
    "trace_id",
    "elapsed",
    "truncated",
)
"""The fields of the article's line, and three more when there is something to say."""


def shown(fields: dict[str, Json]) -> dict[str, Json]:
    """Return the fields that the line for people has; ``elapsed`` in Go's notation."""
    picked = {name: fields[name] for name in SHOWN if name in fields}
    elapsed = picked.get("elapsed")
    if isinstance(elapsed, float):
        picked["elapsed"] = go_duration(elapsed)
    return picked
