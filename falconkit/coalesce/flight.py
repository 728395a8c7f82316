"""A call that others may wait for, and how it ended."""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from threading import Event, Lock

from falconkit.context import Notes
from falconkit.errors import DeadlineExceeded


class Ending(Enum):
    """How a flight ended."""

    ANSWERED = 1
    FAILED = 2
    ABANDONED = 3
    """Its thread was told to end: that is nobody else's failure."""
    UNSHARABLE = 4
    """Its answer is a stream, which only one can read."""


class Flight:
    """One call, from when it was made to when it is answered.

    Attributes:
        deadline: That of the call that makes it.
        ending: How it ended.
        answer: What it was answered.
        error: What it raised.
        notes: What it left for the transport to tell its caller.
        landed: Set when it has ended. The first that waits makes it: most flights have none.
    """

    __slots__ = ("answer", "deadline", "ending", "error", "landed", "notes")

    def __init__(self, deadline: float | None) -> None:
        self.deadline = deadline
        self.ending = Ending.ABANDONED
        self.answer: object = None
        self.error: Exception | None = None
        self.notes = Notes()
        self.landed: Event | None = None

    def is_for(self, deadline: float | None) -> bool:
        """Tell whether its end is that of a call with such a deadline, too."""
        if self.ending is Ending.ABANDONED:
            return False
        error = self.error
        if not isinstance(error, DeadlineExceeded) or error.upstream or self.deadline is None:
            return True
        return deadline is not None and deadline <= self.deadline


class Flights:
    """The flights of one endpoint."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._in_flight: dict[Hashable, Flight] = {}

    def board(self, key: Hashable, deadline: float | None) -> tuple[Flight, Event | None]:
        """Return a new flight to make, or one that is made and what to wait for."""
        with self._lock:
            flight = self._in_flight.get(key)
            if flight is None:
                flight = self._in_flight[key] = Flight(deadline)
                return flight, None
            if flight.landed is None:
                flight.landed = Event()
            return flight, flight.landed

    def land(self, key: Hashable, flight: Flight) -> None:
        """End a flight: who waits is told, and who comes makes a new one."""
        with self._lock:
            del self._in_flight[key]
        if flight.landed is not None:
            flight.landed.set()
        else:
            flight.error = None  # its traceback leads back here: no cycle for nobody


def another(error: Exception) -> Exception:
    """Return an exception of the same class and data, caused by ``error``.

    One exception raised in several threads would have all their frames mixed
    in its traceback. It is made without ``__init__``, whose arguments nobody
    knows; where even that fails, it is ``error`` itself.

    >>> from falconkit.errors import Overloaded
    >>> error = Overloaded(retry_after=2.0)
    >>> again = another(error)
    >>> again is error, again, again.retry_after, again.__cause__ is error
    (False, Overloaded('overloaded'), 2.0, True)
    """
    kind = type(error)
    try:
        made = kind.__new__(kind, *error.args)
        made.args = error.args
        made.__dict__.update(error.__dict__)
        if hasattr(error, "__notes__"):
            made.__notes__ = list(error.__notes__)
        if str(made) != str(error):
            return error  # it keeps its data where we do not see it
    except Exception:
        return error
    made.__cause__ = error
    return made
