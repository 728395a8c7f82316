"""What a breaker has to tell, until there is a call whose listeners can hear it."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque

from falconkit.events import BreakerChanged, Event, Events

_MOST = 64


class News:
    """Events in the order they happened, told one by one and with no lock of the breaker held."""

    __slots__ = ("_pid", "_telling", "_waiting", "add")

    def __init__(self) -> None:
        self._waiting: deque[Event] = deque(maxlen=_MOST)
        self.add = self._waiting.append
        self._begin()

    def _begin(self) -> None:
        self._telling = threading.Lock()
        self._pid = os.getpid()

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def tell(self, events: Events) -> None:
        """Tell what waits; a change that nobody listens to is logged."""
        if self._pid != os.getpid():
            self._begin()
        # One thread at a time, lest a gauge hear of the older change last.
        while self._waiting and self._telling.acquire(blocking=False):
            try:
                while self._waiting:
                    self._tell(self._waiting.popleft(), events)
            finally:
                self._telling.release()

    def _tell(self, event: Event, events: Events) -> None:
        if events:
            events.tell(event)
        elif isinstance(event, BreakerChanged):
            logging.getLogger("falconkit.circuitbreaker").warning("%s", event)
