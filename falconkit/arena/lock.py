"""A lock between processes that never gives up the GIL while it is held, nor waits for long.

`fcntl.flock` gives the GIL up: with three computing threads beside it, a thread
would hold the file lock while it queues for the GIL, and the other workers wait.
The same call through `ctypes.PyDLL` keeps the GIL. CPython looks whether to
switch threads after a call and at the end of a loop, but not when a ``for``
takes its next item, so the lock is also *taken* without a switch::

    for failed in lock.tries:        # each item is one flock(LOCK_EX | LOCK_NB)
        if failed or lock.shut:
            ...                      # another process has it: mend, and the long way
        value = cells[at]            # no call from here ...
        cells[at] = value + 1.0
        lock.unlock()                # ... to here
        break

Threads of one process share the lock's file, so flock does not tell them apart:
in the short way above the GIL does. The long way (`Lock.acquire`) may call
anything while it holds the lock; it shuts the short way meanwhile.
"""

from __future__ import annotations

import functools
import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterator

from falconkit.clock import Clock, system_clock

try:
    import fcntl
except ImportError:  # not a POSIX system
    fcntl = None  # type: ignore[assignment]

Flock = Callable[[int, int], int]

SHARE = 1 | 4
TAKE = 2 | 4
UNLOCK = 8
"""``flock`` operations, which have these numbers on Linux, macOS and the BSDs."""

WAIT = 0.005
"""Seconds after which a wait is given up: a stopped neighbour must not stop the others."""

SPINS = 20
"""Tries in a row before the first sleep: some 12 us, ten times what a holder needs."""


def available() -> bool:
    """Return whether this platform can lock files at all."""
    return fcntl is not None


def _flock_with_switches(fd: int, operation: int) -> int:
    try:
        fcntl.flock(fd, operation)
    except OSError:
        return -1
    return 0


@functools.cache
def flock_call() -> tuple[Flock, bool]:
    """Return a ``flock(fd, operation)`` that answers 0 or -1, and whether it keeps the GIL."""
    try:
        import ctypes

        # PERF: without argtypes ctypes converts two ints in 0.35 us less a pair.
        flock: Flock = ctypes.PyDLL(None).flock
        kept = flock(-1, UNLOCK) == -1
    except (ImportError, OSError, AttributeError, TypeError):
        return _flock_with_switches, False
    return flock, kept and getattr(sys, "_is_gil_enabled", lambda: True)()


class Lock:
    """A lock file, opened by this process for itself.

    Attributes:
        tries: Endless; each item is the answer of one try: 0 is success.
        unlock: Ends the short way.
        shut: True when the short way must not be gone. Who sees it after a
            success leaves the lock as it is, and goes the long way.

    >>> lock = Lock(None)
    >>> lock.acquire()
    True
    >>> lock.release()
    """

    __slots__ = (
        "__weakref__",
        "_clock",
        "_fd",
        "_long_only",
        "_thread",
        "shut",
        "tries",
        "unlock",
    )

    tries: Iterator[int]
    unlock: Callable[[], object]
    shut: bool

    def __init__(self, path: str | os.PathLike[str] | None, *, clock: Clock = system_clock) -> None:
        """Open, and make when absent, the file at ``path``.

        Args:
            path: None for a lock among the threads of this process alone.
            clock: For the bound of waits. Not an arena's clock: this time is real.

        Raises:
            OSError: The file cannot be made.
        """
        self._clock = clock
        self._thread = threading.Lock()
        self._fd = -1
        flock, keeps_gil = flock_call()
        if path is None:
            self.tries = itertools.repeat(0)
            self.unlock = int  # the cheapest call that does nothing
        else:
            fd = self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            self.tries = map(flock, itertools.repeat(fd), itertools.repeat(TAKE))
            self.unlock = functools.partial(flock, fd, UNLOCK)
        # A flock that lets other threads run cannot rely on the GIL: the long way only.
        self._long_only = self.shut = not keeps_gil

    def acquire(self) -> bool:
        """Take the lock the long way: anything may be called until `release`.

        Returns:
            False when it could not be had in 5 ms; another process may be stopped.
        """
        if not self._thread.acquire(timeout=WAIT):
            return False
        self.shut = True
        if self._wait():
            return True
        self.release()
        return False

    def release(self) -> None:
        """Give the lock back."""
        # In this order: a thread on the short way that still sees it shut relies
        # on the unlocking to come, and one that sees it open holds the GIL.
        self.shut = self._long_only
        self.unlock()
        self._thread.release()

    def mend(self, failed: int) -> None:
        """Hear what a try on the short way said that was no success."""

    def _wait(self) -> bool:
        for _ in range(SPINS):
            if self._had():
                return True
        clock = self._clock
        end = clock.monotonic() + WAIT
        while clock.monotonic() < end:
            clock.sleep(0.0001)
            if self._had():
                return True
        return False

    def _had(self) -> bool:
        failed = next(self.tries)
        if failed:
            self.mend(failed)
        return not failed

    def close(self) -> None:
        """Close the file; for a child that inherited it, or when nobody uses it any more."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            # Not on whatever file gets this number next.
            self.tries, self.unlock = itertools.repeat(-1), int
            os.close(fd)

    def __del__(self) -> None:
        self.close()
