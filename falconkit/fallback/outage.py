"""Which failures something else may stand in for."""

from __future__ import annotations

from collections.abc import Callable

from falconkit.errors import (
    ConfigurationError,
    DeadlineExceeded,
    Refused,
    UpstreamFailed,
)

When = Callable[[Exception], bool]
"""Tells whether to fall back on an error."""


def is_outage(error: Exception) -> bool:
    """Tell whether an error means that somebody is away, late or full, for the time being.

    Those are refusals, our own and other services'; failures of a service that
    was called; a deadline that is over; and the standard library's
    ``ConnectionError`` and ``TimeoutError``. All else would hide something that
    the caller has to know: a request that is wrong, a caller that may not, a
    business failure, a write of which nobody knows whether it was done, a bug.

    >>> from falconkit.errors import CircuitOpen, DecodeError, Forbidden, OutcomeUnknown
    >>> is_outage(CircuitOpen()), is_outage(ConnectionResetError())
    (True, True)
    >>> is_outage(Forbidden()), is_outage(OutcomeUnknown()), is_outage(KeyError("v"))
    (False, False, False)
    """
    return isinstance(
        error, Refused | UpstreamFailed | DeadlineExceeded | ConnectionError | TimeoutError
    )


def check_when(when: object) -> None:
    """Refuse what is not a predicate.

    Raises:
        ConfigurationError: It is none; an exception class is a common one.
    """
    if not callable(when) or isinstance(when, type):
        raise ConfigurationError(
            f"when is {when!r}: give a function of the error, such as "
            "lambda error: isinstance(error, CircuitOpen)"
        )
