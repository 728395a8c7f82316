"""What the error of a call says on its span."""

from __future__ import annotations

from falconkit.errors import (
    CircuitOpen,
    DeadlineExceeded,
    DecodeError,
    Failed,
    FalconkitError,
    Forbidden,
    RateLimited,
    Refused,
    RetriesExhausted,
    Unauthenticated,
    UpstreamTimeout,
)

_MOST = 256
_ANNOTATIONS: tuple[tuple[type[BaseException], str], ...] = (
    (CircuitOpen, "broken"),
    (Refused, "refused"),
    (DeadlineExceeded, "timed out"),
    (UpstreamTimeout, "timed out"),
    (TimeoutError, "timed out"),
)
_CALLERS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((RateLimited, Unauthenticated, Forbidden), "refused"),
    ((DecodeError,), "invalid"),
)


def annotation_of(error: BaseException) -> str | None:
    """Return what happened, where an error's type says it.

    >>> annotation_of(CircuitOpen()), annotation_of(RateLimited()), annotation_of(KeyError())
    ('broken', 'refused', None)
    """
    return next((what for kind, what in _ANNOTATIONS if isinstance(error, kind)), None)


def caller_s_fault(error: BaseException, *, served: bool) -> str | None:
    """Return the tag for an error that leaves a span unfailed, None for one that fails it.

    A business failure is one, wherever it comes from. What a caller is to blame for is none
    of the server's failures, as OpenTelemetry has it of a server's 4xx; on a
    client's span it is the client's.

    >>> caller_s_fault(RateLimited(), served=True), caller_s_fault(RateLimited(), served=False)
    ('refused', None)

    Args:
        error: What was raised.
        served: Whether the span is of a call that we answer.
    """
    if isinstance(error, Failed):
        return "failed"
    if not served or getattr(error, "upstream", None) is not None:
        return None
    for kinds, tag in _CALLERS:
        if isinstance(error, kinds):
            return tag
    # An error that carries its own status (falcon.HTTPError) was raised on purpose.
    status = getattr(error, "status_code", None)
    return "refused" if isinstance(status, int) and 400 <= status < 500 else None


def words_of(error: BaseException) -> str:
    """Return an error's type, and our own errors' message, which may be shown to anybody.

    An unknown error's message may hold what no other service is to see: it is
    in the log. So may that of one that was tried again in vain.

    >>> words_of(RateLimited()), words_of(KeyError("the password"))
    ('RateLimited: rate limit exceeded', 'KeyError')
    """
    name = type(error).__name__
    said = error.__cause__ if isinstance(error, RetriesExhausted) else error
    return f"{name}: {error}"[:_MOST] if isinstance(said, FalconkitError) else name
