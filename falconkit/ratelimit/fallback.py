"""When a limiter's engine is away the host decides alone, and requests go on."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from falconkit.clock import Clock, system_clock
from falconkit.events import Event, Events, LimiterFellBack, LimiterRecovered

P = ParamSpec("P")
R = TypeVar("R")


class Fallback:
    """Asks the first of two until it fails, then the second until the first is back.

    No call waits for an engine that is known to be away: a thread that lives
    for one question finds out when it is back, at most one each ``every``
    seconds, and only while there are calls.

    >>> def away() -> str:
    ...     raise ConnectionError("refused")
    >>> heard: list[Event] = []
    >>> fallback = Fallback("add", probe=away, failures=(OSError,), events=Events(heard.append))
    >>> fallback.ask(away, lambda: "decided here")
    'decided here'
    >>> heard
    [LimiterFellBack(limiter='add', cause='ConnectionError: refused')]
    """

    def __init__(
        self,
        limiter: str,
        *,
        probe: Callable[[], object],
        failures: tuple[type[Exception], ...],
        clock: Clock = system_clock,
        events: Events | None = None,
        every: float = 1.0,
    ) -> None:
        """Tell ``events`` when it falls back and when it recovers.

        Args:
            limiter: What to call it in events.
            probe: Asks the first, and raises one of ``failures`` while it is away.
            failures: What it raises when it is away; anything else passes through.
            clock: Whose seconds ``every`` is in.
            events: Who to tell. When None, whoever called `carry`, else the log.
            every: Seconds between two probes.
        """
        self._limiter = limiter
        self._probe = probe
        self._failures = failures
        self._clock = clock
        self._events = events
        self._every = every
        self._lock = threading.Lock()
        self._away = False
        self._probe_at = 0.0
        self._prober: threading.Thread | None = None
        self._news: deque[Event] | None = None
        self._fell_back = 0
        self._decided_here = 0

    def ask(
        self,
        first: Callable[P, R],
        second: Callable[P, R],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Return what ``first`` answers, or ``second`` while the first is away."""
        if not self._away:
            try:
                return first(*args, **kwargs)
            except self._failures as failure:
                self._fall(failure)
        else:
            self._look_again()
        with self._lock:
            self._decided_here += 1
        return second(*args, **kwargs)

    def carry(self) -> deque[Event]:
        """Return the queue in which events wait to be told to a call's own listeners."""
        with self._lock:
            if self._news is None:
                self._news = deque(maxlen=16)
            return self._news

    def status(self) -> dict[str, int | bool]:
        """Return whether it is away now, how often it was, and the calls decided here."""
        return {
            "away": self._away,
            "fell_back": self._fell_back,
            "decided_here": self._decided_here,
        }

    def _fall(self, failure: Exception) -> None:
        with self._lock:
            first_to_see = not self._away
            self._away = True
            if first_to_see:
                self._fell_back += 1
                self._probe_at = self._clock.monotonic() + self._every
        if first_to_see:
            cause = f"{type(failure).__name__}: {failure}"
            self._tell(LimiterFellBack(self._limiter, cause))

    def _look_again(self) -> None:
        if self._clock.monotonic() < self._probe_at:
            return
        with self._lock:
            # A thread of the process that this one was forked from is not alive here.
            busy = self._prober is not None and self._prober.is_alive()
            if not self._away or busy or self._clock.monotonic() < self._probe_at:
                return
            self._probe_at = self._clock.monotonic() + self._every
            self._prober = threading.Thread(
                target=self._look, name="falconkit-limiter-probe", daemon=True
            )
            self._prober.start()

    def _look(self) -> None:
        try:
            self._probe()
        except self._failures:
            return
        with self._lock:
            self._away = False
        self._tell(LimiterRecovered(self._limiter))

    def _tell(self, event: Event) -> None:
        if self._events is not None:
            self._events.tell(event)
        elif self._news is not None:
            self._news.append(event)
        else:
            logging.getLogger("falconkit.ratelimit").warning("%s", event)
