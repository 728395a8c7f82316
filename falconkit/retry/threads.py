"""Threads for calls whose caller may stop waiting for them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from falconkit.errors import ConfigurationError

T = TypeVar("T")


class Threads:
    """A few threads that hedged calls run in. Nothing waits in a queue for one.

    None is started before the first call, and a process forked later has its own.

    >>> threads = Threads(2)
    >>> threads.start(lambda: 1).result()
    1
    >>> threads.close()
    >>> print(threads.start(lambda: 1))
    None

    Args:
        most: How many calls run in them at a time: hedged ones, their second
            tries, and those that lost and have not ended yet.

    Raises:
        ConfigurationError: ``most`` is not a whole number, 2 or more.
    """

    def __init__(self, most: int = 16) -> None:
        if isinstance(most, bool) or not isinstance(most, int) or not 2 <= most <= 1024:
            raise ConfigurationError(f"Threads({most!r}): give a whole number from 2 to 1024")
        self._most = most
        self._lock = threading.Lock()
        self._closed = False
        self._made: tuple[int, ThreadPoolExecutor, threading.Semaphore] | None = None

    def start(self, work: Callable[[], T]) -> Future[T] | None:
        """Start ``work`` in a thread of its own; None when all are busy, or after `close`."""
        made = self._made
        if made is None or made[0] != os.getpid():
            made = self._make()
        _, executor, room = made
        if self._closed or not room.acquire(blocking=False):
            return None

        def run() -> T:
            try:
                return work()
            finally:
                room.release()

        try:
            return executor.submit(run)
        except RuntimeError:  # closed meanwhile, or the interpreter is about to end
            room.release()
            return None

    def close(self) -> None:
        """Wait for the calls that run, and end the threads; later calls are not hedged."""
        with self._lock:
            self._closed = True
            made = self._made
        if made is not None and made[0] == os.getpid():
            made[1].shutdown(wait=True)

    def _make(self) -> tuple[int, ThreadPoolExecutor, threading.Semaphore]:
        with self._lock:
            pid = os.getpid()
            if self._made is None or self._made[0] != pid:
                executor = ThreadPoolExecutor(self._most, thread_name_prefix="falconkit-hedge")
                self._made = (pid, executor, threading.Semaphore(self._most))
            return self._made

    def __repr__(self) -> str:
        return f"Threads({self._most})"
