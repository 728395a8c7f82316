"""An instance with its endpoint, and what its calls have shown of it."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

from falconkit.context import Asked
from falconkit.sd.instance import Instance

_LOG = logging.getLogger("falconkit.sd")

Endpoint = Callable[[Any, Any], Any]


class Member:
    """One instance of a set that calls are sent to, for as long as it is in the set.

    Its numbers are this process's own. They are changed without a lock: a
    statement as ``in_flight += 1`` on a slot is not interrupted under the GIL.

    Attributes:
        instance: What discovery says of it; replaced when that changes.
        address: ``host:port``.
        endpoint: Calls it.
        asked: The note that a call to it leaves.
        in_flight: Calls that are running.
        latency: The decaying peak of its latency, in seconds; 0.0 until it is known.
        seen_at: When that was measured.
        streak: Failures in a row.
        ejected_until: When it may be asked again; 0.0 if it may now.
        ejections: How many times it was sent away lately.
        since: When it came, or came back; minus infinity for those there from the start.
        retired: True once it has left the set.
    """

    __slots__ = (
        "_closers",
        "address",
        "asked",
        "ejected_until",
        "ejections",
        "endpoint",
        "in_flight",
        "instance",
        "latency",
        "retired",
        "seen_at",
        "since",
        "streak",
    )

    def __init__(self, instance: Instance, endpoint: Endpoint, *, since: float = -math.inf) -> None:
        self.instance = instance
        self.address = instance.address
        self.endpoint = endpoint
        self.asked = Asked(self.address)
        self.in_flight = 0
        self.latency = self.seen_at = 0.0
        self.streak = self.ejections = 0
        self.ejected_until = 0.0
        self.since = since
        self.retired = False
        close = getattr(endpoint, "close", None)
        self._closers: list[Callable[[], object]] = [] if close is None else [close]

    def retire(self) -> None:
        """Leave the set: the endpoint is closed now, or by the last call that is running."""
        self.retired = True
        if self.in_flight == 0:
            self.close()

    def close(self) -> None:
        """Close the endpoint, once, if it has a ``close``."""
        try:
            close = self._closers.pop()
        except IndexError:
            return
        try:
            close()
        except Exception:
            _LOG.exception("the endpoint of %s could not be closed", self.address)

    def __repr__(self) -> str:
        return f"Member({self.address!r})"
