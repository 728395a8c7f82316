"""What the outcome of a call says of the service behind it."""

from __future__ import annotations

from collections.abc import Callable

from falconkit.errors import (
    DeadlineExceeded,
    DecodeError,
    Failed,
    Forbidden,
    RateLimited,
    Refused,
    Unauthenticated,
    UpstreamFailed,
)

IsFailure = Callable[[object], bool | None]
"""Told what a call raised or returned: True is a failure, False none, None counts as neither."""

_ITS_OWN_FAULT = (Failed, DecodeError, Unauthenticated, Forbidden, RateLimited)
_NOTHING_WAS_ASKED = (Refused, DeadlineExceeded)


def is_failure(outcome: object) -> bool | None:
    """Return whether a call failed for a reason that lies with the service behind it.

    A failure: no answer, none in time, an answer of 500 and above, an outcome
    that is not known, and every error that is not of falconkit. Not a failure:
    a response, a `Failer` too, and an answer that it is the caller's own fault
    (what HTTP says by 4xx, 429 among it): somebody is there and answers.
    Neither: what an inner layer refused by itself, a deadline that was over
    before anything was sent, and a call that was cancelled.

    >>> from falconkit.errors import Overloaded, UpstreamTimeout
    >>> is_failure(UpstreamTimeout("billing did not answer in 1 s", upstream="billing"))
    True
    >>> is_failure(Failed("no such account")), is_failure({"balance": 0})
    (False, False)
    >>> is_failure(Overloaded("our own bulkhead is full")), is_failure(KeyboardInterrupt())
    (None, None)

    Args:
        outcome: What the call raised, or returned.
    """
    if not isinstance(outcome, BaseException):
        return False
    if not isinstance(outcome, Exception):
        return None  # KeyboardInterrupt, SystemExit, GeneratorExit: the call was cancelled
    answered = getattr(outcome, "upstream", None) is not None
    if isinstance(outcome, _NOTHING_WAS_ASKED) and not answered:
        return None
    if isinstance(outcome, UpstreamFailed):
        return outcome.status is None or not 400 <= outcome.status < 500
    return not isinstance(outcome, _ITS_OWN_FAULT)
