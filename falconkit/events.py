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
class TryFailed(Event):
    """A try of a call failed, and another one was made, or was under way.

    Attributes:
        endpoint: Which endpoint.
        attempt: Which try, from 1.
        cause: The error's class.
    """

    endpoint: str
    attempt: int
    cause: str


@dataclass(frozen=True, slots=True)
class RetriesGaveUp(Event):
    """A call failed that was tried again, or would have been if it might.

    Attributes:
        endpoint: Which endpoint.
        tries: How many tries it had.
        why: As in `falconkit.errors.RetriesExhausted`.
    """

    endpoint: str
    tries: int
    why: str


@dataclass(frozen=True, slots=True)
class HedgeSent(Event):
    """A call was slower than most, and a second try was sent beside the first.

    Attributes:
        endpoint: Which endpoint.
    """

    endpoint: str


@dataclass(frozen=True, slots=True)
class InstancesChanged(Event):
    """Discovery knows of another set of instances than before.

    Attributes:
        service: Whose.
        added: How many came.
        removed: How many went.
        total: How many there are.
    """

    service: str
    added: int
    removed: int
    total: int


@dataclass(frozen=True, slots=True)
class DiscoveryLost(Event):
    """Discovery fails; the instances known last are called on.

    Attributes:
        service: Whose instances it does not tell.
        cause: What went wrong.
    """

    service: str
    cause: str


@dataclass(frozen=True, slots=True)
class DiscoveryRecovered(Event):
    """Discovery works again.

    Attributes:
        service: Whose instances it tells.
    """

    service: str


@dataclass(frozen=True, slots=True)
class InstanceEjected(Event):
    """An instance failed too often in a row, and is not called for a while.

    Attributes:
        service: Whose.
        instance: ``host:port``.
        seconds: For how long.
    """

    service: str
    instance: str
    seconds: float


@dataclass(frozen=True, slots=True)
class InstanceReturned(Event):
    """An instance that was ejected is called again.

    Attributes:
        service: Whose.
        instance: ``host:port``.
    """

    service: str
    instance: str


@dataclass(frozen=True, slots=True)
class TooFewHealthy(Event):
    """So few instances look healthy that all are called: the fault may be in the looking.

    Attributes:
        service: Whose.
        healthy: How many look healthy.
        total: How many there are.
    """

    service: str
    healthy: int
    total: int


@dataclass(frozen=True, slots=True)
class Registered(Event):
    """A registry has this instance, and keeps it while it is renewed.

    Attributes:
        service: As what.
        instance: ``host:port``.
    """

    service: str
    instance: str


@dataclass(frozen=True, slots=True)
class Deregistered(Event):
    """The registry was told that this instance leaves.

    Attributes:
        service: As what.
        instance: ``host:port``.
    """

    service: str
    instance: str


@dataclass(frozen=True, slots=True)
class RegistrationFailed(Event):
    """The registry could not be told of this instance; it is tried again.

    Attributes:
        service: As what.
        instance: ``host:port``.
        cause: What went wrong.
    """

    service: str
    instance: str
    cause: str


@dataclass(frozen=True, slots=True)
class BreakerChanged(Event):
    """A circuit breaker changed its state. The worker that changed it tells it, once a host.

    Attributes:
        breaker: Which breaker.
        old: ``closed``, ``open``, ``half-open``, ``forced-open`` or ``forced-closed``.
        new: The same, of now.
        retry_after: Seconds that it will be open, None when it is not.
        why: For people.
        generation: How often it had changed.
    """

    breaker: str
    old: str
    new: str
    retry_after: float | None
    why: str
    generation: int


@dataclass(frozen=True, slots=True)
class BreakerSeen(Event):
    """A worker sees a circuit breaker in another state than before; each tells it for itself.

    Attributes:
        breaker: Which breaker.
        state: As in `BreakerChanged`.
    """

    breaker: str
    state: str


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


@dataclass(frozen=True, slots=True)
class BaggageDropped(Event):
    """A request's baggage was malformed, or more than services pass on.

    Attributes:
        members: How many members are not passed on.
    """

    members: int


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
