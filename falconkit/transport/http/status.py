"""The one table between errors and HTTP, read in both directions.

A server asks `status_of`, `headers_of`, `code_of` and `message_of` what to
answer; a client asks `error_of` which error an answer means. Nothing else in
falconkit knows a status.

An error that carries ``upstream`` came from a service that we called. Our own
caller did nothing wrong, so it is a 502, 503 or 504, whatever it was there.
"""

from __future__ import annotations

import math
import re

from falcon import HTTPError

from falconkit import errors
from falconkit.errors import FalconkitError
from falconkit.transport.http import fields
from falconkit.transport.http.hop import SHOULD_RETRY
from falconkit.transport.http.reading import error_of
from falconkit.transport.http.table import CODE, STATUS, MethodNotAllowed, NoSuchPath, behind, row

__all__ = [
    "MethodNotAllowed",
    "NoSuchPath",
    "code_of",
    "error_of",
    "headers_of",
    "message_of",
    "status_of",
    "status_of_failure",
]


def status_of(error: BaseException) -> int:
    """Return the status to answer ``error`` with.

    >>> status_of(errors.RateLimited())
    429
    >>> refused_there = errors.RateLimited()
    >>> refused_there.upstream = "billing"
    >>> status_of(refused_there), status_of(KeyError("boom"))
    (503, 500)
    """
    there = behind(error)
    if there is not None:
        return there[0]
    if isinstance(error, HTTPError):
        return error.status_code
    if isinstance(error, errors.Failed):
        return status_of_failure(error)
    return STATUS.get(row(error), 500)


def status_of_failure(failure: BaseException) -> int:
    """Return the status of a business failure: its own ``status``, else 409.

    Args:
        failure: What a `Failer` returned, or a `Failed` that was raised.

    >>> class Gone(errors.Failed):
    ...     status = 410
    >>> status_of_failure(Gone("sold")), status_of_failure(ValueError("full"))
    (410, 409)
    """
    if isinstance(failure, FalconkitError) and not isinstance(failure, errors.Failed):
        return status_of(failure)
    own = getattr(failure, "status", None)
    return own if isinstance(own, int) and 400 <= own <= 599 else 409


def code_of(error: BaseException) -> str:
    """Return the word that names ``error`` on the wire: stable, whatever its message says.

    >>> code_of(errors.CircuitOpen()), code_of(KeyError("boom"))
    ('circuit_open', 'internal_error')
    """
    there = behind(error)
    return there[1] if there is not None else CODE.get(row(error), "internal_error")


def message_of(error: BaseException) -> str:
    """Return what the caller may read of ``error``.

    Never an unknown exception's own words, nor those of a service behind us.

    >>> message_of(errors.DecodeError("expected int, got str", where="$.v"))
    '$.v: expected int, got str'
    >>> message_of(KeyError("the password is hunter2"))
    'internal server error'
    """
    there = behind(error)
    if there is not None:
        return there[2]
    return str(error) if row(error) in STATUS else "internal server error"


def headers_of(error: BaseException) -> list[tuple[str, str]]:
    """Return the headers that go with ``error``.

    >>> headers_of(errors.RateLimited(retry_after=0.2))
    [('Retry-After', '1')]
    """
    found: list[tuple[str, str]] = []
    if isinstance(error, errors.Refused | errors.UpstreamFailed):
        wait = error.retry_after
        if wait is not None and math.isfinite(wait):
            found.append(("Retry-After", str(fields.whole_seconds(wait))))
    elif isinstance(error, errors.Unauthenticated) and error.upstream is None:
        found.append(("WWW-Authenticate", re.sub(r"[^ -~]", "", error.challenge)))
    elif isinstance(error, MethodNotAllowed):
        found.append(("Allow", ", ".join(error.allowed)))
    if isinstance(error, FalconkitError) and (error.final or _would_be_again(error)):
        found.append((SHOULD_RETRY, "false"))
    return found


def _would_be_again(error: FalconkitError) -> bool:
    # Our caller sees a 502 of it, which does not tell that a further try is in vain.
    if error.upstream is None:
        return False
    if isinstance(error, errors.UpstreamFailed):
        return error.lasting
    return isinstance(
        error, errors.DecodeError | errors.Unauthenticated | errors.Forbidden | errors.Failed
    )
