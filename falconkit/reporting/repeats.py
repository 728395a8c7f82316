"""One fault raises the same error a thousand times; who reads reports wants a few of them."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Final

from falconkit.clock import Clock

_MOST_KINDS: Final = 256
_MINUTE: Final = 60.0


class Repeats:
    """Admits so many of a kind in a minute, and counts those it holds back.

    >>> from falconkit.testing import ManualClock
    >>> clock = ManualClock()
    >>> repeats = Repeats(1, clock)
    >>> [repeats.admit("KeyError") for _ in range(3)]
    [0, None, None]
    >>> clock.advance(60)
    >>> repeats.admit("KeyError")
    2

    Args:
        most: How many of one kind in a minute.
        clock: Whose minutes.
    """

    def __init__(self, most: int, clock: Clock) -> None:
        self._most, self._clock = most, clock
        # Reentrant, for the abort of a worker is reported by a signal handler, which may
        # interrupt the thread that is in here.
        self._lock = threading.RLock()
        self._kinds: dict[Hashable, list[float]] = {}

    def admit(self, kind: Hashable) -> int | None:
        """Return how many were held back since the last one, None to hold this one back too."""
        now = self._clock.monotonic()
        with self._lock:
            known = self._kinds.get(kind)
            if known is None:
                if len(self._kinds) >= _MOST_KINDS:
                    del self._kinds[next(iter(self._kinds))]
                known = self._kinds[kind] = [now, 0, 0]
            began, admitted, held = known
            if now - began >= _MINUTE:
                known[0], admitted = now, 0
            if admitted >= self._most:
                known[2] = held + 1
                return None
            known[1], known[2] = admitted + 1, 0
            return int(held)
