"""What a hook is told of one error: bounded, and without what a request brought."""

from __future__ import annotations

import ipaddress
import re
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypedDict

from falconkit.context import Context
from falconkit.log.fit import cut_text
from falconkit.log.jsonable import Json
from falconkit.log.text import clean

LONGEST_MESSAGE: Final = 1_000
LONGEST_TRACEBACK: Final = 16_000
_LONGEST_PATH: Final = 300
_MOST_FRAMES: Final = 64
_ROUGH_CUT: Final = 4
_CREDENTIALS: Final = re.compile(r"(\w://[^/@\s:]{0,200}:)[^/@\s]{1,500}@")


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One error, as a hook is told of it.

    Nothing of a request's body, query or headers is in it, and of the caller only how he is
    known. Texts are bounded, and passwords in URLs are replaced by ``***``.

    >>> report = Report(kind="request", message="KeyError: 'v'", error=KeyError("v"))
    >>> print(report.traceback)
    KeyError: 'v'

    Attributes:
        kind: ``request`` (an endpoint failed), ``call`` (because a service that we called did),
            ``event`` (a concern told of trouble), ``log`` (a line of a background thread or of
            the server) or ``own`` (by `Reporter.report`).
        message: At most 1,000 bytes.
        error: The exception with its traceback; None for what is told without one.
        expected: Whether the table of statuses knows it; False for what nobody foresaw.
        status: What the caller was answered, None when this is no request's.
        request_id: Of the request that it happened in, "" outside of one.
        trace_id: Of its trace, "" when there is none.
        endpoint: The endpoint's name, "" when there is none.
        method: The request's.
        path: The request's, without the query; at most 300 bytes.
        caller_kind: How the caller is known: ``address``, ``name`` or "" for not at all.
        upstream: The service whose failure it is, "" when it is our own.
        at: When it happened, in seconds since 1970.
        repeated: How many of its kind were held back since the last one that was not.
        details: An event's fields, or a log line's extras; hidden by name as in the log.
    """

    kind: str
    message: str
    error: BaseException | None = None
    expected: bool = False
    status: int | None = None
    request_id: str = ""
    trace_id: str = ""
    endpoint: str = ""
    method: str = ""
    path: str = ""
    caller_kind: str = ""
    upstream: str = ""
    at: float = 0.0
    repeated: int = 0
    details: Mapping[str, Json] = field(default_factory=dict)

    @property
    def level(self) -> str:
        """Return ``error``, or ``warning`` for what was foreseen."""
        return "warning" if self.expected else "error"

    @property
    def traceback(self) -> str:
        """Return the traceback as Python prints it, at most 16,000 bytes, "" without an error.

        It is made when it is asked for, which is in the hook's thread.
        """
        if self.error is None:
            return ""
        lines = traceback.format_exception(self.error, limit=-_MOST_FRAMES)
        return shown("".join(lines).rstrip("\n"), LONGEST_TRACEBACK, middle=True)


def shown(text: str, longest: int, *, middle: bool = False) -> str:
    """Return ``text`` bounded, in UTF-8's reach, and without the passwords of URLs.

    >>> shown("redis://app:hunter2@cache:6379 is away", 100)
    'redis://app:***@cache:6379 is away'
    """
    rough = longest * _ROUGH_CUT
    if len(text) > rough:  # measuring a text of megabytes would take longer than all the rest
        text = f"{text[: rough // 2]}…(cut)…{text[-rough // 2 :]}" if middle else text[:rough]
    text = _CREDENTIALS.sub(r"\1***@", clean(text))
    return text if len(text.encode()) <= longest else cut_text(text, longest, middle=middle)


class Place(TypedDict, total=False):
    """What a report says of the request that it happened in."""

    request_id: str
    trace_id: str
    method: str
    path: str
    caller_kind: str


def place(ctx: Context | None) -> Place:
    """Return what a report says of a request."""
    if ctx is None:
        return {}
    return {
        "request_id": ctx.request_id,
        "trace_id": "" if ctx.span is None else ctx.span.trace_id,
        "method": ctx.method[:20],
        "path": shown(ctx.path, _LONGEST_PATH),
        "caller_kind": _kind_of(ctx.caller),
    }


def _kind_of(caller: str) -> str:
    if not caller:
        return ""
    try:
        ipaddress.ip_address(caller)
    except ValueError:
        return "name"
    return "address"
