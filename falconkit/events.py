"""What concerns have to tell: typed events, so that none knows its logger or meter."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened that is not an answer to a call."""


@dataclass(frozen=True, slots=True)
class LimiterFellBack(Event):
    """A limiter's storage is away; the host decides alone until it is back.

    Attributes:
        limiter: Which limiter.
        cause: What its storage answered.
    """

    limiter: str
    cause: str


@dataclass(frozen=True, slots=True)
class LimiterRecovered(Event):
    """A limiter's storage answers again."""

    limiter: str


@dataclass(frozen=True, slots=True)
class ArenaDegraded(Event):
    """The arena did less than it should: a wait ran out, a table is full, a cell was damaged.

    Attributes:
        what: ``contended``, ``full``, ``damaged`` or ``private``.
        detail: For people.
    """

    what: str
    detail: str


@dataclass(frozen=True, slots=True)
class LabelsFolded(Event):
    """A metric has as many series as it may have; new label sets count as ``other``.

    Attributes:
        metric: Its name.
        bound: How many series it may have.
    """

    metric: str
    bound: int


@dataclass(frozen=True, slots=True)
class BackendFailed(Event):
    """A signal could not be delivered. Requests do not notice.

    Attributes:
        backend: ``statsd``, ``log``.
        cause: What went wrong, and which variable names the place.
    """

    backend: str
    cause: str


@dataclass(frozen=True, slots=True)
class RequestStuck(Event):
    """A request is older than it should ever be; the watchdog has logged its stack.

    Attributes:
        request_id: Whose.
        seconds: How old it is.
    """

    request_id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class SheddingStarted(Event):
    """An endpoint refuses calls that are more than it can do; told once, not for each call.

    Attributes:
        endpoint: Which.
        cause: ``limit`` (too many in flight) or ``queue`` (waited too long in the router).
        bound: How many calls it lets be in flight.
    """

    endpoint: str
    cause: str
    bound: int


@dataclass(frozen=True, slots=True)
class SheddingStopped(Event):
    """An endpoint has refused nothing for a while.

    Attributes:
        endpoint: Which.
        refused: Calls that it refused in all.
        seconds: From the first of them to the last.
    """

    endpoint: str
    refused: int
    seconds: float


@dataclass(frozen=True, slots=True)
class FellBack(Event):
    """A call failed, and its caller was given something else than the failure.

    Attributes:
        endpoint: Which.
        to: ``value``, ``function`` or ``stale``.
        cause: The class of the failure.
    """

    endpoint: str
    to: str
    cause: str


Listener = Callable[[Event], None]


class Events:
    """Tells events to those who listen. An app or a client owns one.

    >>> heard: list[Event] = []
    >>> events = Events(heard.append)
    >>> events.tell(LimiterRecovered("add"))
    >>> heard
    [LimiterRecovered(limiter='add')]
    """

    __slots__ = ("_listeners",)

    def __init__(self, *listeners: Listener) -> None:
        self._listeners: tuple[Listener, ...] = listeners

    def listen(self, listener: Listener) -> None:
        """Call ``listener`` with every event from now on."""
        self._listeners += (listener,)

    def __bool__(self) -> bool:
        """Return whether anybody listens."""
        return bool(self._listeners)

    def tell(self, event: Event) -> None:
        """Tell everybody. A listener that raises is logged; the others still hear."""
        for listener in self._listeners:
            try:
                listener(event)
            except Exception:
                logging.getLogger("falconkit.events").exception(
                    "the listener %r failed on %r", listener, event
                )
