"""What a call that fails raises; it says whether the call may be tried again.

    ==========================  ==========================  =======================
    seen                        raised                      was it run?
    ==========================  ==========================  =======================
    the time is over already    DeadlineExceeded            no: nothing was sent
    no address, refused, TLS    UpstreamUnavailable         no
    no answer in time           UpstreamTimeout             perhaps
    connection lost, garbage    UpstreamFailed              perhaps
    the same two, of a write    OutcomeUnknown              nobody knows
    answered 504 to a write     OutcomeUnknown              nobody knows
    answered 400 and above      its own error, read from    as that error says
                                the one table in status.py
    answered 3xx, too much,     UpstreamFailed with the     yes
    or not what was expected    status
    ==========================  ==========================  =======================

A write is a method that is not idempotent (RFC 9110, 9.2.2): POST, PATCH and what is
unknown. Looking for the service's error in its answer is the work of the one table
in `falconkit.transport.http.status`.
"""

from __future__ import annotations

import re

from urllib3.exceptions import ClosedPoolError, ConnectTimeoutError, HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as TimedOut

from falconkit.errors import (
    FalconkitError,
    OutcomeUnknown,
    UpstreamFailed,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from falconkit.transport.http.client_wire import Incoming
from falconkit.transport.http.status import error_of
from falconkit.transport.http.table import TRANSIENT


class Failures:
    """Makes the errors of one client, each with the service's name in it.

    >>> failures = Failures("billing", "http://billing:80", idempotent=False)
    >>> failures.answered(Incoming(504, {}, b""))
    OutcomeUnknown('the outcome is not known: repeat the call under the same request id')
    """

    __slots__ = ("_idempotent", "_origin", "_service")

    def __init__(self, service: str, origin: str, *, idempotent: bool) -> None:
        self._service = service
        self._origin = origin
        self._idempotent = idempotent

    def lost(self, error: HTTPError, seconds: float) -> FalconkitError:
        """Return the error of a call to which no whole answer came within ``seconds``."""
        name = self._service
        failure: UpstreamFailed
        if isinstance(error, NewConnectionError | ConnectTimeoutError | ClosedPoolError):
            failure = UpstreamUnavailable(
                f"{name} cannot be reached at {self._origin}: {_words(error)}", upstream=name
            )
        elif isinstance(error, TimedOut) or any(isinstance(e, TimeoutError) for e in error.args):
            failure = UpstreamTimeout(f"{name} did not answer in {seconds:.3g} s", upstream=name)
        else:
            failure = self.failed(f"the answer of {name} was lost: {_words(error)}")
        failure.__cause__ = error
        return failure if isinstance(failure, UpstreamUnavailable) else self._perhaps_run(failure)

    def answered(self, incoming: Incoming) -> FalconkitError:
        """Return the error that an answer of another status than 2xx means."""
        status = incoming.status
        if status < 400:
            where = incoming.headers.get("Location", "nowhere")
            return self.failed(f"{self._service} answered {status}, leading to {where}", status)
        error = error_of(status, incoming.headers, incoming.body, self._service)
        return self._perhaps_run(error) if isinstance(error, UpstreamTimeout) else error

    def failed(self, message: str, status: int | None = None) -> UpstreamFailed:
        """Return the error of an answer that is of no use."""
        failure = UpstreamFailed(message, upstream=self._service, status=status)
        failure.lasting = status is not None and status not in TRANSIENT
        return failure

    def _perhaps_run(self, error: FalconkitError) -> FalconkitError:
        if self._idempotent:
            return error
        unknown = OutcomeUnknown(
            "the outcome is not known: repeat the call under the same request id"
        )
        unknown.upstream = self._service
        unknown.final = error.final
        unknown.__cause__ = error
        return unknown


def _words(error: HTTPError) -> str:
    # urllib3 begins with the repr of its pool or connection, which says nothing to a reader.
    return re.sub(r"^\w+\(host=.*?\): ", "", str(error))
