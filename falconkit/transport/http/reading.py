"""Which error an answer means: the table, read by a client."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from falconkit import errors
from falconkit.errors import DecodeError, FalconkitError
from falconkit.transport.http import fields
from falconkit.transport.http.hop import SHOULD_RETRY
from falconkit.transport.http.table import ROWS, TRANSIENT, MethodNotAllowed

_KIND: Final = {code: (kind, status) for kind, status, code in ROWS}
# Of an answer without a code. 404, 405 and the rest tell that we called wrongly.
_PLAIN: Final[dict[int, type[FalconkitError]]] = {
    status: _KIND[code][0]
    for status, code in (
        (400, "decode_error"),
        (401, "unauthenticated"),
        (403, "forbidden"),
        (408, "body_timeout"),
        (409, "failed"),
        (413, "body_too_large"),
        (415, "unsupported_media_type"),
        (429, "rate_limited"),
        (503, "upstream_unavailable"),
        (504, "upstream_timeout"),
    )
}
# What a service mostly meets in the middle of its work, when it calls others.
_MIDWAY: Final = frozenset({errors.CircuitOpen, errors.NoInstance, errors.UpstreamUnavailable})


def error_of(status: int, headers: Mapping[str, str], body: bytes, upstream: str) -> FalconkitError:
    r"""Return the error that an answer means: `status_of`, read backwards.

    >>> error = error_of(429, {"Retry-After": "2"}, b"rate limit exceeded\n", "counter")
    >>> error, error.retry_after, error.upstream
    (RateLimited('rate limit exceeded'), 2.0, 'counter')

    Args:
        status: 400 or more.
        headers: The answer's headers; names in any case.
        body: Plain words, or problem+json (RFC 9457) whose ``code`` tells more.
        upstream: The name of the service that answered.
    """
    headers = {name.lower(): value for name, value in headers.items()}
    members = fields.problem(headers, body)
    message = fields.words(members, body, status)
    code = members.get("code")
    kind, usual = _KIND.get(code, (None, 0)) if isinstance(code, str) else (None, 0)
    told = kind is not None and (usual == status or kind is errors.Failed)
    if kind is None or not told:
        kind = _PLAIN.get(status, errors.UpstreamFailed)
    error = _build(kind, message, status, headers)
    if kind in _MIDWAY if told else _is_bare(error):
        error.perhaps_run = True
    where = members.get("where")
    if isinstance(error, DecodeError) and isinstance(where, str):
        error.where = where
    error.upstream = upstream
    if headers.get(SHOULD_RETRY.lower(), "").strip().lower() == "false":
        error.final = True
    return error


def _is_bare(error: FalconkitError) -> bool:
    # Heroku's router answers so for an app that timed out or hung up (H12, H13), too.
    # Who refuses a call before it is run says when to come again.
    return isinstance(error, errors.UpstreamUnavailable) and error.retry_after is None


def _build(
    kind: type[FalconkitError], message: str, status: int, headers: Mapping[str, str]
) -> FalconkitError:
    wait = fields.retry_after(headers)
    if issubclass(kind, errors.UpstreamFailed):
        failure = kind(message, status=status, retry_after=wait)
        failure.lasting = status not in TRANSIENT
        return failure
    if issubclass(kind, errors.RateLimited):
        limit, remaining = fields.quota(headers)
        return kind(message, retry_after=wait, limit=limit, remaining=remaining)
    if issubclass(kind, errors.Refused):
        return kind(message, retry_after=wait)
    if issubclass(kind, errors.Unauthenticated):
        return kind(message, challenge=headers.get("www-authenticate", "Bearer"))
    made: dict[type[FalconkitError], Any] = {
        errors.BodyTooLarge: lambda: errors.BodyTooLarge(0),
        MethodNotAllowed: lambda: MethodNotAllowed(
            tuple(re.findall(r"[A-Z]+", headers.get("allow", "")))
        ),
    }
    error: FalconkitError = made[kind]() if kind in made else kind(message)
    error.args = (message,)
    if kind is errors.Failed:
        error.status = status  # type: ignore[attr-defined]
    return error
