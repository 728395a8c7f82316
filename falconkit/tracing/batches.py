"""Spans wait in a bounded queue, from which a thread sends them in batches."""

from __future__ import annotations

import atexit
import logging
import os
import random
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import TypedDict

from falconkit.errors import ConfigurationError
from falconkit.events import BackendFailed, Events
from falconkit.tracing.recording import Recording

_LOG = logging.getLogger("falconkit.tracing")
_LAST_FLUSH = 2.0
"""Seconds that a stopping worker waits for its last batches."""
_DAY = 86_400
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0


class NotDelivered(Exception):
    """A batch was not taken, and might be later."""


class QueueOptions(TypedDict, total=False):
    """How spans wait and go, of every reporter that sends from a thread.

    Attributes:
        most: Spans that may wait in a process; 10,000.
        batch: Spans that go at once; 500.
        interval: Seconds between two looks at the queue; 1.
        tries: How often a batch is tried; 4.
        rng: Spreads the waits between tries, so that a fleet does not come back as one.
    """

    most: int
    batch: int
    interval: float
    tries: int
    rng: random.Random | None


class Batches:
    """A bounded queue, and in each process a thread that empties it, from the first span on.

    Attributes:
        sent: Spans that this process has delivered.
        dropped: Spans of this process that nobody will see.

    Args:
        name: The backend's, for the log and for `BackendFailed`.
        send: Delivers a batch, in the thread. `NotDelivered` says that another
            try is worth it; after any other error it is not.
        most: This and the rest are `QueueOptions`.
        batch: As said there.
        interval: As said there.
        tries: As said there.
        rng: As said there.

    Raises:
        ConfigurationError: A number is not above 0.
    """

    def __init__(
        self,
        name: str,
        send: Callable[[list[Recording]], None],
        *,
        most: int = 10_000,
        batch: int = 500,
        interval: float = 1.0,
        tries: int = 4,
        rng: random.Random | None = None,
    ) -> None:
        for what, number in (("most", most), ("batch", batch), ("tries", tries)):
            if number < 1:
                raise ConfigurationError(f"{what}={number!r}: give 1 or more")
        if not 0 < interval <= _DAY:
            raise ConfigurationError(f"interval={interval!r}: give seconds, from over 0 to {_DAY}")
        self.name = name
        self._send = send
        self._most, self._size, self._interval, self._tries = most, batch, interval, tries
        self._rng = random.Random() if rng is None else rng
        self._events: Events | None = None
        self._count: Callable[[str, int], None] = lambda what, how_many: None
        self._begin()
        forked = weakref.WeakMethod(self._forked)
        os.register_at_fork(after_in_child=lambda: (forked() or int)())

    def _begin(self) -> None:
        """Begin anew: what waits in a forked child is its parent's to send."""
        self.sent = self.dropped = 0
        self._waiting: deque[Recording] = deque()
        self._batch: list[Recording] = []
        self._tried = self._failures = 0
        self._thread: threading.Thread | None = None
        self._wake, self._stop = threading.Event(), threading.Event()
        self._closed = False
        self._sending, self._counting = threading.Lock(), threading.Lock()

    def _forked(self) -> None:
        self._rng.seed()  # workers that wait for one backend shall not come back as one
        self._begin()

    def put(self, span: Recording, /) -> None:
        """Take a span, or drop it when too many wait."""
        # PERF: 0.13 us. Threads that look at the length together overshoot by as many
        # as they are, which costs less than a lock.
        waiting = self._waiting
        if len(waiting) >= self._most or self._closed:
            self._drop(1)
            return
        waiting.append(span)
        if self._thread is None:
            self._start()
        elif len(waiting) == self._size:
            self._wake.set()

    @property
    def waiting(self) -> int:
        """Spans that are neither sent nor dropped yet."""
        return len(self._waiting) + len(self._batch)

    def attach(self, events: Events, count: Callable[[str, int], None]) -> None:
        """Tell ``events`` of trouble, and ``count`` of spans ``sent`` and ``dropped``."""
        self._events, self._count = events, count

    def turn(self) -> float:
        """Send one batch; returns the seconds after which it is worth coming again."""
        with self._sending:
            if not self._batch:
                self._batch = self._taken()
                self._tried = 0
            return self._deliver() if self._batch else self._interval

    def flush(self) -> None:
        """Send all that waits, now, in this thread; stops at what is not taken. Never raises."""
        before = -1
        while self.waiting and self.waiting != before:
            before = self.waiting
            self.turn()

    def close(self) -> None:
        """Send what waits, at most 2 s, and end the thread; what comes later is dropped."""
        self._closed = True
        thread = self._thread
        if thread is None:
            return
        self._thread = None
        atexit.unregister(self.close)
        self._stop.set()
        self._wake.set()
        thread.join(_LAST_FLUSH)
        left = self.waiting
        if left:
            self._drop(left)
            _LOG.warning("%s has not taken the last %d spans: given up", self.name, left)

    def _start(self) -> None:
        with self._counting:
            if self._thread is not None or self._closed:
                return
            thread = threading.Thread(
                target=self._run, name=f"falconkit-spans-{self.name}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                return  # no room for a thread now, or Python is ending: the next span tries again
            self._thread = thread
            atexit.register(self.close)

    def _run(self) -> None:
        seconds = self._interval
        while not self._closed:
            # A full batch ends the wait for the next look, never the wait after a failure.
            (self._stop if self._failures else self._wake).wait(seconds)
            self._wake.clear()
            seconds = self.turn()
        self.flush()

    def _taken(self) -> list[Recording]:
        pop = self._waiting.popleft
        return [pop() for _ in range(min(self._size, len(self._waiting)))]

    def _deliver(self) -> float:
        batch = self._batch
        try:
            self._send(batch)
        except NotDelivered as ex:
            return self._again(str(ex))
        except Exception as ex:
            _LOG.exception("%d spans cannot be sent to %s: dropped", len(batch), self.name)
            return self._again(f"{type(ex).__name__}: {ex}", hopeless=True)
        self._batch = []
        self.sent += len(batch)
        self._tell("sent", len(batch))
        if self._failures:
            self._failures = 0
            _LOG.info("%s takes spans again", self.name)
        return 0.0 if len(self._waiting) >= self._size else self._interval

    def _again(self, cause: str, *, hopeless: bool = False) -> float:
        self._tried += 1
        self._failures += 1
        if self._failures == 1:
            self._complain(cause)
        if hopeless or self._tried >= self._tries:
            lost, self._batch = len(self._batch), []
            self._drop(lost)
        longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(self._failures, 10))
        return longest * (0.5 + self._rng.random() / 2)

    def _complain(self, cause: str) -> None:
        if self._events:
            self._events.tell(BackendFailed(self.name, cause))
        else:
            _LOG.warning("spans are not sent to %s, trying again: %s", self.name, cause)

    def _drop(self, how_many: int) -> None:
        with self._counting:
            self.dropped += how_many
        self._tell("dropped", how_many)

    def _tell(self, what: str, how_many: int) -> None:
        try:
            self._count(what, how_many)
        except Exception:
            _LOG.exception("%d spans %s could not be counted", how_many, what)
