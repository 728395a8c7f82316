"""A bounded queue, and in each process a thread that hands over what is in it."""

from __future__ import annotations

import atexit
import logging
import os
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Final, Generic, TypeVar

T = TypeVar("T")

_LOG = logging.getLogger("falconkit.reporting")
LAST_FLUSH: Final = 2.0
"""Seconds that a stopping worker waits for what is not handed over yet."""


class Outbox(Generic[T]):
    """Hands over what is put in it, from a thread that starts with the first thing after a fork.

    >>> there: list[str] = []
    >>> box = Outbox("example", there.append, most=10)
    >>> box.put("a"), box.close(), there
    (True, 0, ['a'])

    Args:
        name: The thread's.
        hand_over: Takes one thing, in the thread; must not raise.
        most: How many may wait.
        last: Called in the thread when all is handed over and no more will come.
    """

    def __init__(
        self,
        name: str,
        hand_over: Callable[[T], None],
        *,
        most: int,
        last: Callable[[], None] = lambda: None,
    ) -> None:
        self._name, self._hand_over, self._most, self._last = name, hand_over, most, last
        self._begin()
        forked = weakref.WeakMethod(self._begin)
        os.register_at_fork(after_in_child=lambda: (forked() or int)())

    def _begin(self) -> None:
        """Begin anew: what waits in a forked child is its parent's to hand over."""
        # Its `put` may interrupt itself, as a signal handler does that reports an abort.
        self._waiting: SimpleQueue[tuple[T] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    def put(self, thing: T) -> bool:
        """Take a thing; False when too many wait, or after `close`."""
        # Threads that look at the size together overshoot by as many as they are.
        if self._closed or self._waiting.qsize() >= self._most:
            return False
        self._waiting.put((thing,))
        if self._thread is None:
            self._start()
        return True

    def close(self) -> int:
        """Hand over what waits, at most 2 s, and end the thread; returns how many were not."""
        self._closed = True
        thread, self._thread = self._thread, None
        if thread is None:
            return self._waiting.qsize()
        atexit.unregister(self.close)
        self._waiting.put(None)
        thread.join(LAST_FLUSH)
        # What it was busy with, and not the sign to stop.
        return self._waiting.qsize() if thread.is_alive() else 0

    def _start(self) -> None:
        # Whoever finds it taken need not wait: it is being started. A signal handler must not.
        if not self._lock.acquire(blocking=False):
            return
        try:
            if self._thread is not None or self._closed:
                return
            thread = threading.Thread(target=self._run, name=self._name, daemon=True)
            thread.start()
            self._thread = thread
            atexit.register(self.close)
        except RuntimeError:
            pass  # no room for a thread now, or Python is ending: the next one tries again
        finally:
            self._lock.release()

    def _run(self) -> None:
        waiting = self._waiting
        while (item := waiting.get()) is not None:
            self._hand_over(item[0])
            del item
        self._last()
