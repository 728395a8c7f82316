"""An instance with its endpoint, and what its calls have shown of it."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from typing import Any

from falconkit.context import Asked
from falconkit.errors import UpstreamUnavailable
from falconkit.sd.instance import Instance

_LOG = logging.getLogger("falconkit.sd")

Factory = Callable[[Instance], Any]
"""Makes an instance's endpoint, or what `Balancer.through` takes it out of."""


class Member:
    """One instance of a set that calls are sent to, for as long as it is in the set.

    Its numbers are this process's own. They are changed without a lock: a
    statement as ``in_flight += 1`` on a slot is not interrupted under the GIL.

    Attributes:
        instance: What discovery says of it; replaced when that changes.
        address: ``host:port``.
        endpoint: Calls it; made by the first call, `UpstreamUnavailable` if it cannot be.
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
        "_factory",
        "_making",
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

    endpoint: Any

    def __init__(
        self,
        instance: Instance,
        factory: Factory,
        *,
        since: float = -math.inf,
        making: threading.Lock | None = None,
    ) -> None:
        """Know an instance, and open nothing.

        Args:
            instance: The instance.
            factory: Makes its endpoint, once.
            since: When it came.
            making: Held while the endpoint is made; members may share one.
        """
        self.instance = instance
        self.address = instance.address
        self._factory: Factory | Exception = factory
        self._making = threading.Lock() if making is None else making
        self._closers: list[Callable[[], object]] = []
        self.asked = Asked(self.address)
        self.in_flight = 0
        self.latency = self.seen_at = 0.0
        self.streak = self.ejections = 0
        self.ejected_until = 0.0
        self.since = since
        self.retired = False

    def __getattr__(self, name: str) -> Any:
        # PERF: a slot that is empty yet; once it is filled Python does not come here. A thousand
        # clients take 20 ms to make, of which a process may never call most.
        if name != "endpoint":
            raise AttributeError(name)
        with self._making:
            try:
                return object.__getattribute__(self, "endpoint")  # another thread was first
            except AttributeError:
                pass
            if not isinstance(self._factory, Exception):
                try:
                    return self._take(self._factory(self.instance))
                except Exception as error:
                    _LOG.exception("nothing that calls %s can be made", self.address)
                    self._factory = error
            raise UpstreamUnavailable(f"{self.address} cannot be called") from self._factory

    def _take(self, endpoint: Any) -> Any:
        close = getattr(endpoint, "close", None)
        if close is not None:
            self._closers.append(close)
        self.endpoint = endpoint
        return endpoint

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
