"""What the arena did less well than it should: counted, told, and now and then logged."""

from __future__ import annotations

import logging
from collections import Counter

from falconkit.events import ArenaDegraded, Events

KINDS = ("contended", "full", "damaged", "private")
"""What can happen: a wait ran out, a table is full, a cell was damaged, nothing is shared."""


class Troubles:
    """The troubles of one arena in this process.

    >>> troubles = Troubles(Events())
    >>> troubles.add("full", "no cell for 'ann'")
    >>> troubles.counts()["full_count"]
    1

    Attributes:
        events: Who is told.
    """

    __slots__ = ("_counts", "events")

    def __init__(self, events: Events) -> None:
        self.events = events
        self._counts: Counter[str] = Counter()

    def add(self, what: str, detail: str) -> None:
        """Count one, and tell it. Not to be called with a lock held: who listens may be slow."""
        self._counts[what] += 1
        count = self._counts[what]
        # A log line for 1, 10, 100, ...: a stopped neighbour would else fill the log.
        if count == 10 ** (len(str(count)) - 1):
            logging.getLogger("falconkit.arena").warning(
                "the arena is %s (%d times in this process): %s", what, count, detail
            )
        self.events.tell(ArenaDegraded(what, detail))

    def counts(self) -> dict[str, int]:
        """Return how often each happened in this process."""
        return {f"{what}_count": self._counts[what] for what in KINDS}

    def forget(self) -> None:
        """Begin anew, in a child."""
        self._counts.clear()
