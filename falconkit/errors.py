"""The errors of falconkit, one tree.

    FalconkitError
    ├── ConfigurationError        said when a chain or an app is built, never later
    ├── Refused                   nothing was done; retry_after says when to come again
    │   ├── RateLimited             the caller is over its rate
    │   ├── CircuitOpen             the dependency behind it is known to be down
    │   ├── Overloaded              there is no room now
    │   └── NoInstance              discovery knows nobody to ask
    ├── DeadlineExceeded          nobody waits for the answer any longer
    ├── DecodeError               the request cannot be understood; where says at what place
    │   ├── BodyTooLarge
    │   ├── BodyTimeout             it did not arrive in time, or not whole
    │   └── UnsupportedMediaType
    ├── Unauthenticated           who calls is not known
    ├── Forbidden                 who calls may not
    ├── Failed                    a business failure (what a Failer's failed() may return)
    ├── UpstreamFailed            a service we called did not answer, or answered an error
    │   ├── UpstreamUnavailable     it cannot be reached, or says 503
    │   └── UpstreamTimeout         it did not answer in time
    ├── OutcomeUnknown            a write whose answer was lost: done or not, nobody knows
    └── RetriesExhausted          it was tried again in vain; of its last try's class too

A refusal carries data, never only words. No error knows HTTP: the one table of
statuses is `falconkit.transport.http.status`. An error that a client endpoint
got from the service it called has that service's name in ``upstream``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, cast


class FalconkitError(Exception):
    """The root of the tree.

    Attributes:
        upstream: The service that answered this error, None when it is our own.
        final: True when nobody further out is to try the call again by himself: it has
            been tried again already, here or behind us, or who answered asks for that.
        perhaps_run: True when a service answered this that may have done a part of
            the call, though by its class the error says that nothing was done.
    """

    upstream: str | None = None
    final: bool = False
    perhaps_run: bool = False


class ConfigurationError(FalconkitError, ValueError):
    """Something cannot work as configured; the message names what to change."""


class Refused(FalconkitError):
    """Nothing was done.

    Attributes:
        retry_after: Seconds until it is worth a new try, or None if it never is.
    """

    message = "refused"

    def __init__(self, message: str | None = None, *, retry_after: float | None = None) -> None:
        super().__init__(self.message if message is None else message)
        self.retry_after = retry_after


class RateLimited(Refused):
    """The caller is over its rate.

    Attributes:
        limit: Calls that the bucket holds when it is full, 0 when not known.
        remaining: Calls that are left now.
    """

    message = "rate limit exceeded"

    def __init__(
        self,
        message: str | None = None,
        *,
        retry_after: float | None = None,
        limit: int = 0,
        remaining: int = 0,
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.limit = limit
        self.remaining = remaining


class CircuitOpen(Refused):
    """The dependency behind this call is known to be down."""

    message = "circuit breaker is open"


class Overloaded(Refused):
    """There is no room for this call now."""

    message = "overloaded"


class NoInstance(Refused):
    """Discovery knows no instance of the service."""

    message = "no instance available"


class DeadlineExceeded(FalconkitError):
    """The time that the caller gave is over."""

    def __init__(self, message: str = "deadline exceeded") -> None:
        super().__init__(message)


class DecodeError(FalconkitError):
    """The request cannot be understood; the message may be shown to the caller.

    Attributes:
        where: The place, as in ``$.v``, or "" for the request as a whole.
    """

    def __init__(self, message: str, *, where: str = "") -> None:
        super().__init__(f"{where}: {message}" if where else message)
        self.where = where


class BodyTooLarge(DecodeError):
    """The body has more bytes than are taken.

    Attributes:
        limit: How many are taken.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")
        self.limit = limit


class BodyTimeout(DecodeError):
    """The body did not arrive in time, or ended before its announced length."""


class UnsupportedMediaType(DecodeError):
    """The body is in a format that the endpoint does not speak."""


class Unauthenticated(FalconkitError):
    """Who calls is not known.

    Attributes:
        challenge: How to say it, as in ``Basic realm="counter"``.
    """

    def __init__(self, message: str = "unauthenticated", *, challenge: str = "Bearer") -> None:
        super().__init__(message)
        self.challenge = challenge


class Forbidden(FalconkitError):
    """Who calls is known, and may not."""

    def __init__(self, message: str = "forbidden") -> None:
        super().__init__(message)


class Failed(FalconkitError):
    """A business failure; the message is for the caller.

    Raise it, or return it from `Failer.failed`.
    """


class UpstreamFailed(FalconkitError):
    """A service that we called did not answer, or its answer was an error.

    Attributes:
        status: The status it answered with, None when there was no answer.
        retry_after: Seconds that it asked us to wait, or None.
        lasting: True when the same call would fail alike.
    """

    lasting: bool = False

    def __init__(
        self,
        message: str,
        *,
        upstream: str | None = None,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.upstream = upstream
        self.status = status
        self.retry_after = retry_after


class UpstreamUnavailable(UpstreamFailed):
    """It cannot be reached, or says that it is unavailable: the call was not run."""


class UpstreamTimeout(UpstreamFailed):
    """It did not answer in time: the call may have run."""


class OutcomeUnknown(FalconkitError):
    """A write was sent and its answer lost; repeat it under the same request id."""

    def __init__(self, message: str = "the outcome is not known") -> None:
        super().__init__(message)


class RetriesExhausted(FalconkitError):
    """A call failed that was tried again, or would have been if it might.

    Never raised as such: what `retry` raises is of this class and of its last
    try's, so that ``except UpstreamTimeout`` goes on to work where retries are
    added, and the table of statuses finds the last try's row.

    >>> error = RetriesExhausted.of((UpstreamTimeout("late"), UpstreamFailed("lost")), "stopped")
    >>> isinstance(error, UpstreamFailed), isinstance(error, RetriesExhausted)
    (True, True)
    >>> print(error)
    lost (2 tries, stopped)

    Attributes:
        causes: What each try raised, the last one last.
        why: Why there was no further try: ``stopped``, ``not_retryable``, ``deadline``,
            ``budget``, ``retry_after`` or ``hedged``.
    """

    final = True
    causes: tuple[Exception, ...] = ()
    why: str = ""

    @staticmethod
    def of(causes: Sequence[Exception], why: str) -> Exception:
        """Return what to raise in place of the last of ``causes``, with its attributes.

        That is the last one itself where its class cannot be made again; a note then tells.
        """
        last = causes[-1]
        try:
            kind: Any = type(last)
            kind = _exhausted(kind)
            made = cast(RetriesExhausted, kind.__new__(kind, *last.args))
            made.args = last.args
            vars(made).update(vars(last))
        except Exception:
            last.add_note(_told(len(causes), why))
            return last
        made.causes = tuple(causes)
        made.why = why
        made.final = True
        made.__cause__ = last
        return made

    def __str__(self) -> str:
        words = super().__str__() if self.__cause__ is None else str(self.__cause__)
        return f"{words} ({_told(len(self.causes), self.why)})"

    def __getattr__(self, name: str) -> object:
        # What the last try's error keeps elsewhere than in its `__dict__`.
        if name.startswith("__") or self.__cause__ is None:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(self.__cause__, name)

    def __reduce__(self) -> tuple[object, ...]:
        return RetriesExhausted.of, (self.causes, self.why)


@functools.lru_cache(maxsize=256)
def _exhausted(kind: Any) -> Any:
    if issubclass(kind, RetriesExhausted):
        return kind
    # Named as the last try's class, so that a log or a metric goes on under its name.
    return type(kind.__name__, (RetriesExhausted, kind), {"__module__": kind.__module__})


def _told(count: int, why: str) -> str:
    return f"{count} {'try' if count == 1 else 'tries'}, {why.replace('_', ' ')}"
