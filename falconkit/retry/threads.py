"""Threads for calls whose caller may stop waiting for them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, TypeVar

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
        ConfigurationError: ``most`` is not a whole number from 2 to 1024.
    """

    def __init__(self, most: int = 16) -> None:
        if isinstance(most, bool) or not isinstance(most, int) or not 2 <= most <= 1024:
            raise ConfigurationError(f"Threads({most!r}): give a whole number from 2 to 1024")
        self._most = most
        self._lock = threading.Lock()
        self._closed = False
        self._pid = 0
        self._executor: ThreadPoolExecutor | None = None
        self._running: set[Future[Any]] = set()

    def start(self, work: Callable[[], T]) -> Future[T] | None:
        """Start ``work`` in a thread of its own; None when all are busy, or after `close`."""
        with self._lock:
            executor = self._opened()
            running = self._running
            if self._closed or len(running) >= self._most:
                return None
            try:
                future = executor.submit(work)
            except RuntimeError:  # the interpreter is about to end
                return None
            running.add(future)
        future.add_done_callback(running.discard)
        return future

    def close(self, seconds: float = 10.0) -> None:
        """Wait for the calls that run, and end the threads; later calls are not hedged.

        Args:
            seconds: How long to wait for them at most; what runs on then, runs on.
        """
        with self._lock:
            self._closed = True
            executor, running = self._executor, set(self._running)
        if executor is not None and self._pid == os.getpid():
            executor.shutdown(wait=False)
            wait(running, seconds)

    def _opened(self) -> ThreadPoolExecutor:
        pid = os.getpid()
        if self._executor is None or self._pid != pid:
            self._pid = pid
            self._running = set()
            self._executor = ThreadPoolExecutor(self._most, thread_name_prefix="falconkit-hedge")
        return self._executor

    def __repr__(self) -> str:
        return f"Threads({self._most})"
