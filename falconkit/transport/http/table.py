"""The one table between errors and HTTP; `falconkit.transport.http.status` reads it."""

from __future__ import annotations

from typing import Any, Final

from falconkit import errors
from falconkit.errors import DecodeError, FalconkitError


class NoSuchPath(DecodeError):
    """No route takes the path."""

    def __init__(self, message: str = "not found") -> None:
        super().__init__(message)


class MethodNotAllowed(DecodeError):
    """The path is there and does not take the method.

    Attributes:
        allowed: The methods that it takes.
    """

    def __init__(self, allowed: tuple[str, ...] = (), message: str = "method not allowed") -> None:
        super().__init__(message)
        self.allowed = allowed


ROWS: Final[tuple[tuple[type[FalconkitError], int, str], ...]] = (
    (errors.RateLimited, 429, "rate_limited"),
    (errors.CircuitOpen, 503, "circuit_open"),
    (errors.Overloaded, 503, "overloaded"),
    (errors.NoInstance, 503, "no_instance"),
    (errors.Refused, 503, "refused"),
    (errors.DeadlineExceeded, 504, "deadline_exceeded"),
    (errors.BodyTooLarge, 413, "body_too_large"),
    (errors.BodyTimeout, 408, "body_timeout"),
    (errors.UnsupportedMediaType, 415, "unsupported_media_type"),
    (NoSuchPath, 404, "no_such_path"),
    (MethodNotAllowed, 405, "method_not_allowed"),
    (errors.DecodeError, 400, "decode_error"),
    (errors.Unauthenticated, 401, "unauthenticated"),
    (errors.Forbidden, 403, "forbidden"),
    (errors.Failed, 409, "failed"),
    (errors.UpstreamUnavailable, 503, "upstream_unavailable"),
    (errors.UpstreamTimeout, 504, "upstream_timeout"),
    (errors.UpstreamFailed, 502, "upstream_failed"),
    (errors.OutcomeUnknown, 503, "outcome_unknown"),
)
STATUS: Final = {kind: status for kind, status, _ in ROWS}
CODE: Final = {kind: code for kind, _, code in ROWS}
TRANSIENT: Final = frozenset({500, 502, 503, 504})
"""Statuses of a failure that a further try may not meet; after any other it would fail alike."""

# What a service that we called answered, as our own caller sees it.
_FAILED: Final = (502, "upstream_failed", "a service behind this one failed")
_AWAY: Final = (503, "upstream_unavailable", "a service behind this one is unavailable")
_LATE: Final = (504, "upstream_timeout", "a service behind this one did not answer in time")
_UNKNOWN: Final = (503, "outcome_unknown", "the outcome is not known")
_BEHIND: Final[dict[type[FalconkitError], tuple[int, str, str]]] = {
    errors.Refused: _AWAY,
    errors.UpstreamUnavailable: _AWAY,
    errors.DeadlineExceeded: _LATE,
    errors.UpstreamTimeout: _LATE,
    errors.OutcomeUnknown: _UNKNOWN,
    FalconkitError: _FAILED,
}


def row(error: BaseException) -> Any:
    """Return the class of the table's row that an error falls under, None when none does."""
    return next((kind for kind in type(error).__mro__ if kind in STATUS), None)


def behind(error: BaseException) -> tuple[int, str, str] | None:
    """Return status, code and words for an error that a service behind us answered."""
    if not isinstance(error, FalconkitError):
        return None
    if error.upstream is None and not isinstance(error, errors.UpstreamFailed):
        return None
    return next(_BEHIND[kind] for kind in type(error).__mro__ if kind in _BEHIND)
