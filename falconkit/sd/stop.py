"""How a thread that waits is told to end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stop:
    """True once the thread is to end; wakes it from whatever it waits in.

    >>> stop = Stop()
    >>> stop.wait(0.0), bool(stop)
    (False, False)
    >>> stop.set()
    >>> stop.wait(60.0), bool(stop)
    (True, True)
    """

    __slots__ = ("_event", "_lock", "_wakes")

    def __init__(self) -> None:
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._wakes: list[Callable[[], object]] = []

    def __bool__(self) -> bool:
        return self._event.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait so many seconds, or until it is set; returns whether it is."""
        return self._event.wait(seconds)

    def set(self) -> None:
        """End the thread's wait."""
        with self._lock:
            self._event.set()
            wakes, self._wakes = self._wakes, []
        for wake in wakes:
            wake()

    @contextmanager
    def waking(self, wake: Callable[[], object]) -> Iterator[None]:
        """Call ``wake`` if this is set meanwhile: for a wait in a socket, which it is to break."""
        with self._lock:
            if not self._event.is_set():
                self._wakes.append(wake)
        if self._event.is_set():
            wake()
        try:
            yield
        finally:
            with self._lock:
                self._wakes = [each for each in self._wakes if each != wake]
