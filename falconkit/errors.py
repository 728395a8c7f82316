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
    └── OutcomeUnknown            a write whose answer was lost: done or not, nobody knows

A refusal carries data, never only words. No error knows HTTP: the one table of
statuses is `falconkit.transport.http.status`. An error that a client endpoint
got from the service it called has that service's name in ``upstream``.
"""

from __future__ import annotations


class FalconkitError(Exception):
    """The root of the tree.

    Attributes:
        upstream: The service that answered this error, None when it is our own.
    """

    upstream: str | None = None


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
    """

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
