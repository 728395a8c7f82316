"""What an error is to whoever reads the log: its level and its words."""

from __future__ import annotations

import logging

from falconkit.errors import (
    DeadlineExceeded,
    DecodeError,
    Failed,
    FalconkitError,
    Forbidden,
    OutcomeUnknown,
    RateLimited,
    Refused,
    Unauthenticated,
    UpstreamFailed,
)
from falconkit.log.text import clean, error_text

_CALLERS = (RateLimited, DecodeError, Unauthenticated, Forbidden, Failed)
_OTHERS = (Refused, DeadlineExceeded, UpstreamFailed, OutcomeUnknown)


def level_of(error: BaseException) -> int:
    """Return the level of a call that raised ``error``.

    Info when the caller is the cause, as for a rate limit or a bad body;
    warning when something that we depend on is; error when nobody foresaw it.

    >>> [logging.getLevelName(level_of(e)) for e in (RateLimited(), Refused(), KeyError())]
    ['INFO', 'WARNING', 'ERROR']
    """
    if isinstance(error, _CALLERS):
        return logging.INFO
    if isinstance(error, _OTHERS):
        return logging.WARNING
    # An error that carries its own status (falcon.HTTPError) was raised on purpose.
    status = _attribute(error, "status_code")
    return logging.INFO if isinstance(status, int) and status < 500 else logging.ERROR


def words_of(error: BaseException) -> str:
    """Return what ``err`` says: our errors' message, others' type and message.

    >>> words_of(RateLimited()), words_of(KeyError("v"))
    ('rate limit exceeded', "KeyError: 'v'")
    """
    if isinstance(error, FalconkitError):
        return clean(error_text(error).removeprefix(f"{type(error).__name__}: "))
    if isinstance(_attribute(error, "status_code"), int):
        told = (_attribute(error, "title"), _attribute(error, "description"))
        words = ": ".join(part for part in told if isinstance(part, str) and part)
        return clean(words or error_text(error))
    return clean(error_text(error))


def _attribute(error: BaseException, name: str) -> object:
    try:
        return getattr(error, name, None)
    except Exception:
        return None
