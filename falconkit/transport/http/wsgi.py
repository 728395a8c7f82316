"""The few things that WSGI (PEP 3333) and its servers want said in their own way."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final
from wsgiref.handlers import BaseHandler

from falconkit.transport.http.fields import reason

StartResponse = Callable[..., Any]
"""``start_response(status, headers, exc_info=None)`` of PEP 3333."""

_LINES: Final = {status: f"{status} {reason(status)}" for status in range(200, 600)}


def status_line(status: int) -> str:
    """Return the status as WSGI takes it.

    >>> status_line(404)
    '404 Not Found'
    """
    return _LINES[status]


def close_after(start_response: StartResponse, headers: list[tuple[str, str]]) -> None:
    """Have the connection closed after this answer.

    ``Connection`` is the server's header, not the application's (PEP 3333), so
    gunicorn drops it and wsgiref asserts. gunicorn's own response has a
    method, and other servers (Granian) take the header.
    """
    response = getattr(start_response, "__self__", None)
    force_close = getattr(response, "force_close", None)
    if force_close is not None:
        force_close()
    elif not isinstance(response, BaseHandler):
        headers.append(("Connection", "close"))
