"""Tells what a stuck request is doing, since a thread cannot be ended from outside."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any

from falconkit.clock import Clock, system_clock
from falconkit.events import Event, RequestStuck
from falconkit.server.served import Running, stack


class Watchdog:
    """Logs the stack of a request that is older than it should ever be, once.

    Args:
        running: What is being served now.
        after: Seconds after which a request is stuck.
        log: Where to say it.
        tell: Hears a `falconkit.events.RequestStuck` for each.
        threads: How many requests can be served at once.
        give_up: Called, once, when so many are stuck that nothing else can be served.
        besides: Called whenever it looks: what else has to be looked at once a second.
        clock: Whose seconds these are.

    >>> log = logging.Logger("silent")
    >>> dog = Watchdog(lambda: [], after=20, log=log)
    >>> dog.look()
    []
    """

    def __init__(
        self,
        running: Callable[[], Iterable[Running]],
        *,
        after: float,
        log: logging.Logger | Any,
        tell: Callable[[Event], None] | None = None,
        threads: int = 1,
        give_up: Callable[[], None] | None = None,
        besides: Callable[[], None] | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self._running = running
        self._after = after
        self._log = log
        self._tell = tell
        self._threads = threads
        self._give_up = give_up
        self._besides = besides
        self._clock = clock
        self._said: set[Running] = set()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Look from now on, in a thread of its own."""
        tick = min(1.0, self._after / 4)
        self._thread = threading.Thread(
            target=self._run, args=(tick,), name="falconkit-watchdog", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=2.0)

    def look(self) -> list[Running]:
        """Look once; returns what is stuck now."""
        now = self._clock.monotonic()
        stuck = [each for each in self._running() if now - each.started > self._after]
        for each in stuck:
            if each not in self._said:
                self._say(each, now - each.started)
        self._said = set(stuck)
        if len(stuck) >= self._threads and self._give_up is not None:
            give_up, self._give_up = self._give_up, None
            give_up()
        return stuck

    def _say(self, request: Running, seconds: float) -> None:
        self._log.error(
            "a request is stuck: %.1f s",
            seconds,
            extra={
                **request.named,
                "stack": stack(sys._current_frames().get(request.thread)),
            },
        )
        if self._tell is not None:
            self._tell(RequestStuck(request.request_id, seconds))

    def _run(self, tick: float) -> None:
        while not self._stop.wait(tick):
            try:
                self.look()
                if self._besides is not None:
                    self._besides()
            except Exception:
                self._log.exception("the watchdog failed to look")
