"""Whose turn it is to show the totals of a host: one worker's an interval."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from falconkit.clock import Clock
from falconkit.metrics.backend import TotalBackend
from falconkit.metrics.sample import Sample, SeriesKey, since

try:
    import fcntl
except ImportError:  # not a POSIX system, where an arena is private anyway
    fcntl = None  # type: ignore[assignment]

_STAMP = struct.Struct("d")
_PATIENCE = 1.0
_STEP = 0.005


class Turns:
    """A file that the workers of a host lock while they show, stamped with when it was done.

    The kernel gives up a killed worker's lock. It is one of ``lockf``, which a forked
    child does not inherit.
    """

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._path, self._clock = path, clock

    @contextmanager
    def take(self, interval: float, *, wait: bool) -> Iterator[Callable[[], None] | None]:
        """Give what to call once it was shown; or None when it is another worker's turn.

        Args:
            interval: Seconds that have to be over since it was shown.
            wait: True to show whenever it was shown last, and to wait 1 s at most for a
                worker that is at it.

        Raises:
            TimeoutError: It was waited for in vain.
        """
        if self._path is None or fcntl is None:
            yield lambda: None
            return
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            locked = self._lock(fd, _PATIENCE if wait else 0.0)
            if wait and not locked:
                raise TimeoutError(f"another worker has been at it for over {_PATIENCE:g} s")
            yield (
                (lambda: self._stamp(fd)) if locked and (wait or self._over(fd, interval)) else None
            )
        finally:
            os.close(fd)

    def _lock(self, fd: int, patience: float) -> bool:
        until = self._clock.monotonic() + patience
        while True:
            try:
                fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except OSError:
                if self._clock.monotonic() >= until:
                    return False
            self._clock.sleep(_STEP)

    def _over(self, fd: int, interval: float) -> bool:
        stamp = os.pread(fd, _STAMP.size, 0)
        if len(stamp) < _STAMP.size:
            return True
        passed: float = self._clock.monotonic() - _STAMP.unpack(stamp)[0]
        # A stamp of the future is of before the machine was started anew; one may be damaged.
        return not 0 <= passed < interval

    def _stamp(self, fd: int) -> None:
        os.pwrite(fd, _STAMP.pack(self._clock.monotonic()), 0)


class Shown:
    """A backend of totals, and what this worker saw of them last.

    Attributes:
        backend: Where they are shown.
        failing: Whether it failed the last time.
    """

    def __init__(
        self,
        backend: TotalBackend,
        number: int,
        read: Callable[[], list[Sample]],
        folder: Callable[[], Path | None],
        clock: Clock,
    ) -> None:
        self.backend = backend
        self.failing = False
        self._file = f"{backend.name}-{number}.turns"
        self._read, self._folder, self._clock = read, folder, clock
        self._before: dict[SeriesKey, Sample] = {}
        self._next = 0.0
        self._pid = 0
        # Threads come at the interval of the quickest backend, and none to the moment.
        self._due = 0.9 * backend.interval

    def begin(self) -> None:
        """Note what there is when this process begins: it did not happen lately."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._seen(self._read())

    def show(self, *, when_due: bool) -> None:
        """Show the totals.

        Args:
            when_due: Only if the interval is over, and no other worker has done it.

        Raises:
            Exception: What the backend raises. What happened lately is kept for the next time.
        """
        if when_due and self._clock.monotonic() < self._next:
            return
        folder = self._folder()
        turns = Turns(None if folder is None else folder / self._file, self._clock)
        with turns.take(self._due, wait=not when_due) as shown:
            # Read with the lock held: whoever shows last shows the most.
            now = self._read()
            if shown is not None:
                self.backend.show(now, since(now, self._before))
                shown()
        self._seen(now)

    def _seen(self, samples: list[Sample]) -> None:
        self._before = {each.key: each for each in samples}
        self._next = self._clock.monotonic() + self._due
