"""An error as a reply: its plain message, or problem+json for who prefers JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import falcon
import msgspec

from falconkit import errors
from falconkit.context import Context
from falconkit.transport.http import fields
from falconkit.transport.http.reply import BODILESS, Reply
from falconkit.transport.http.status import (
    code_of,
    headers_of,
    message_of,
    status_of,
)

EncodeError = Callable[[Context, BaseException, falcon.Request], Reply]
"""``(context, error, HTTP request) -> reply``: what an error looks like to the caller."""

_TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")
_PROBLEM: Final = ("Content-Type", "application/problem+json")
_VARY: Final = ("Vary", "Accept")
_ABOUT: Final = "https://iana.org/assignments/http-problem-types"
_TYPES: Final = {"rate_limited": f"{_ABOUT}#quota-exceeded"}


def error_reply(ctx: Context, error: BaseException, request: falcon.Request) -> Reply:
    """Return the reply to an error, by the table of `falconkit.transport.http.status`.

    The body is the message alone, as ``curl`` is to show it, or problem+json
    (RFC 9457) when ``Accept`` names JSON; its ``code`` is a stable word.
    """
    if isinstance(error, falcon.HTTPError):
        return _falcon_s(error, request)
    if isinstance(error, falcon.HTTPStatus):
        text = (error.text or "").encode()
        return Reply(error.status_code, [*([_TEXT] if text else ()), *_pairs(error.headers)], text)
    reply = _reply(status_of(error), code_of(error), message_of(error), error, request)
    reply.headers += headers_of(error)
    return reply


def _falcon_s(error: falcon.HTTPError, request: falcon.Request) -> Reply:
    message = error.description or error.title or fields.reason(error.status_code)
    code = error.code if error.code is not None else "http_error"
    reply = _reply(error.status_code, str(code), str(message), error, request)
    reply.headers += _pairs(error.headers) + headers_of(error)
    return reply


def _pairs(headers: Any) -> list[tuple[str, str]]:
    return list(headers.items() if isinstance(headers, Mapping) else headers or ())


def _reply(
    status: int, code: str, message: str, error: BaseException, request: falcon.Request
) -> Reply:
    if status in BODILESS or status < 200:
        return Reply(status, [], b"")
    if not fields.prefers_json(request.env.get("HTTP_ACCEPT")):
        return Reply(status, [_TEXT, _VARY], message.encode("utf-8", "replace"))
    members: dict[str, Any] = {
        "type": _TYPES.get(code, "about:blank"),
        "title": fields.reason(status),
        "status": status,
        "detail": message.encode("utf-8", "replace").decode(),
        "code": code,
    }
    where = getattr(error, "where", "")
    if isinstance(error, errors.DecodeError) and where:
        members["where"] = where
    return Reply(status, [_PROBLEM, _VARY], msgspec.json.encode(members))
