"""The last good answer under each key."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass
from threading import Lock

from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Stale:
    """A note for the transport: the answer is an old one.

    Attributes:
        age: Seconds since it was made.
    """

    age: float


class LastGood:
    """Keeps answers, each until a newer one comes, it is too old, or room is needed.

    >>> from falconkit.testing import ManualClock
    >>> clock = ManualClock()
    >>> last = LastGood(max_keys=1, max_age=60.0, clock=clock)
    >>> last.keep("ann", "hi")
    >>> clock.advance(5.0)
    >>> last.find("ann")
    ('hi', 5.0)
    >>> last.keep("bob", "ho")
    >>> last.find("ann") is None
    True
    """

    def __init__(
        self, *, max_keys: int = 1024, max_age: float = 300.0, clock: Clock = system_clock
    ) -> None:
        """Keep nothing yet.

        Args:
            max_keys: Answers to keep; beyond them the least lately used one goes.
            max_age: Seconds after which an answer is too old to be given.
            clock: Whose seconds these are.

        Raises:
            ConfigurationError: One of the bounds cannot be used.
        """
        if isinstance(max_keys, bool) or not isinstance(max_keys, int) or max_keys < 1:
            raise ConfigurationError(f"max_keys is {max_keys!r}: give a whole number, 1 or more")
        if not 0 < max_age < float("inf"):
            raise ConfigurationError(f"max_age is {max_age!r}: give seconds, more than 0")
        self._max_keys = max_keys
        self._max_age = max_age
        self._now = clock.monotonic
        self._lock = Lock()
        self._answers: OrderedDict[Hashable, tuple[object, float]] = OrderedDict()
        self._served = 0

    def keep(self, key: Hashable, answer: object) -> None:
        """Keep an answer that was made now."""
        kept = (answer, self._now())
        with self._lock:
            self._answers[key] = kept
            self._answers.move_to_end(key)
            if len(self._answers) > self._max_keys:
                self._answers.popitem(last=False)

    def find(self, key: Hashable) -> tuple[object, float] | None:
        """Return the answer under ``key`` and its age in seconds, None when there is none."""
        with self._lock:
            kept = self._answers.get(key)
            if kept is None:
                return None
            answer, made = kept
            age = self._now() - made
            if age > self._max_age:
                del self._answers[key]
                return None
            self._answers.move_to_end(key)
            self._served += 1
            return answer, age

    def status(self) -> dict[str, int]:
        """Return how many answers are kept, and how many were given so far."""
        return {"keys": len(self._answers), "served": self._served}

    def __repr__(self) -> str:
        return f"LastGood(max_keys={self._max_keys}, max_age={self._max_age:g})"
