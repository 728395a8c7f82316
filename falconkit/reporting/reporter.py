"""Errors of every source, handed to one function, off the request's way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final, TypedDict, TypeVar

from falconkit.clock import Clock, system_clock
from falconkit.context import Context, current
from falconkit.errors import ConfigurationError, Refused
from falconkit.events import (
    ArenaDegraded,
    BackendFailed,
    DiscoveryLost,
    Event,
    LimiterFellBack,
    RegistrationFailed,
)
from falconkit.reporting.desk import Desk, Hook
from falconkit.reporting.frames import raised_at
from falconkit.reporting.records import Records
from falconkit.reporting.telling import Telling, was_told

K = TypeVar("K")

TROUBLE: Final[tuple[type[Event], ...]] = (
    ArenaDegraded,
    BackendFailed,
    DiscoveryLost,
    LimiterFellBack,
    RegistrationFailed,
)
"""Events that are reported unless told otherwise: what does less than it should."""

LOGGERS: Final = ("falconkit", "gunicorn.error")
"""Whose lines at ``error`` are reported unless told otherwise: those of background threads, and
the server's, which tell of stuck requests and of a worker's abort."""


class Options(TypedDict, total=False):
    """What a `Reporter` takes beside its hook."""

    inline: bool
    also: Iterable[type[BaseException]]
    never: Iterable[type[BaseException]]
    events: Iterable[type[Event]]
    loggers: Iterable[str]
    most: int
    per_minute: int
    keep_locals: bool
    redact: Iterable[str]
    clock: Clock


class Reporter:
    """Hands errors to a hook, from a thread that each process starts with its first error.

    `falconkit.transport.http.App.on_error` makes one, and tells it what endpoints raise.

    >>> reporter = Reporter(lambda report: print(report.kind, report.message), inline=True)
    >>> reporter.report(KeyError("v"))
    own KeyError: 'v'

    Args:
        hook: Takes a `falconkit.reporting.Report`. What it raises is counted, and logged once
            a minute at most.
        inline: Call the hook at once, in the thread in which the error happened.
        also: Errors to report though they are refusals, or answered with less than 500.
        never: Errors not to report; it beats ``also``.
        events: Events to report.
        loggers: Loggers whose lines at ``error`` and above are reported.
        most: How many may wait for the hook.
        per_minute: How many of one kind, by endpoint, class and where it was raised, in a minute.
        keep_locals: Leave the frames of an exception their variables, and with them what
            the request brought.
        redact: Names of fields to hide in ``details``, beside the usual ones.
        clock: What tells the time.

    Raises:
        ConfigurationError: A value cannot be used.
    """

    def __init__(
        self,
        hook: Hook,
        *,
        inline: bool = False,
        also: Iterable[type[BaseException]] = (),
        never: Iterable[type[BaseException]] = (),
        events: Iterable[type[Event]] = TROUBLE,
        loggers: Iterable[str] = LOGGERS,
        most: int = 100,
        per_minute: int = 10,
        keep_locals: bool = False,
        redact: Iterable[str] = (),
        clock: Clock = system_clock,
    ) -> None:
        if not callable(hook):
            raise ConfigurationError(f"on_error({hook!r}): give a function that takes a Report")
        for what, number in (("most", most), ("per_minute", per_minute)):
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise ConfigurationError(f"{what}={number!r}: give a whole number, 1 or more")
        self._also = _classes("also", also, BaseException)
        self._never = _classes("never", never, BaseException)
        self._events = _classes("events", events, Event)
        self._desk = Desk(hook, inline=inline, most=most, per_minute=per_minute, clock=clock)
        self._telling = Telling(clock, redact=redact, keep_locals=keep_locals)
        self._records = Records(self._logged, _names(loggers))

    @property
    def counts(self) -> dict[str, int]:
        """Return the counts of this process.

        ``reported``; ``repeated``: held back, being more of a kind than may be; ``dropped``: too
        many waited, or the end came; ``failed``: the hook raised.
        """
        return dict(self._desk.counts)

    def attach(self, count: Callable[[str, int], None]) -> None:
        """Tell ``count`` of each of `counts` as well, and begin to hear the loggers."""
        self._desk.count = count
        self._records.begin()

    def failed(
        self, error: BaseException, ctx: Context, endpoint: str, *, status: int, expected: bool
    ) -> None:
        """Hear what an endpoint raised, and what its caller is answered. Never raises."""
        was_told(error, self)  # the line that the log gets of it is not to be reported, too
        if not self._is_wanted(error, status):
            return
        upstream = getattr(error, "upstream", None) or ""
        kind = "call" if upstream else "request"
        self._desk.offer(
            (kind, endpoint, type(error), raised_at(error)),
            lambda repeated: self._telling.of_error(
                error,
                ctx,
                kind=kind,
                repeated=repeated,
                endpoint=endpoint,
                status=status,
                expected=expected,
                upstream=upstream,
            ),
        )

    def report(self, error: BaseException, /, **details: Any) -> None:
        """Report an error that you have caught, of a thread of your own for one. Never raises.

        Args:
            error: The error.
            **details: Beside it; bounded, and hidden by their names.
        """
        was_told(error, self)
        ctx = current.get()
        self._desk.offer(
            ("own", type(error), raised_at(error)),
            lambda repeated: self._telling.of_error(
                error, ctx, kind="own", repeated=repeated, details=details
            ),
        )

    def heard(self, event: Event) -> None:
        """Hear an event: it is a listener for `falconkit.events.Events`."""
        if isinstance(event, self._events):
            self._desk.offer(
                self._telling.kind_of(event),
                lambda repeated: self._telling.of_event(event, current.get(), repeated),
            )

    def close(self) -> None:
        """Hand over what waits, at most 2 s; what comes later is dropped."""
        self._records.end()
        self._desk.close()

    def _is_wanted(self, error: BaseException, status: int) -> bool:
        if isinstance(error, self._never):
            return False
        if isinstance(error, self._also):
            return True
        return status >= 500 and not isinstance(error, Refused)

    def _logged(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and (was_told(error, self) or isinstance(error, self._never)):
            return
        self._desk.offer(
            ("log", record.name, str(record.msg)),
            lambda repeated: self._telling.of_record(record, error, current.get(), repeated),
        )


def _classes(what: str, given: Iterable[type[K]], root: type[K]) -> tuple[type[K], ...]:
    found = tuple(given) if isinstance(given, Iterable) else (given,)
    for each in found:
        if not (isinstance(each, type) and issubclass(each, root)):
            raise ConfigurationError(f"{what} has {each!r}: give classes of {root.__name__}")
    return found


def _names(loggers: Iterable[str]) -> tuple[str, ...]:
    found = () if isinstance(loggers, str) else tuple(loggers)
    if isinstance(loggers, str) or not all(isinstance(each, str) for each in found):
        raise ConfigurationError(f"loggers={loggers!r}: give a list of loggers' names")
    return found
