"""Tell events in the log."""

from __future__ import annotations

import dataclasses
import logging
import re
import threading

from falconkit.clock import Clock, system_clock
from falconkit.events import (
    ArenaDegraded,
    BackendFailed,
    BreakerChanged,
    BreakerSeen,
    DiscoveryLost,
    Event,
    FellBack,
    InstanceEjected,
    LabelsFolded,
    LimiterFellBack,
    Listener,
    RegistrationFailed,
    RequestStuck,
    SheddingStarted,
    TooFewHealthy,
)

_LEVELS: dict[type[Event], int] = {
    LimiterFellBack: logging.WARNING,
    ArenaDegraded: logging.WARNING,
    LabelsFolded: logging.WARNING,
    BackendFailed: logging.WARNING,
    DiscoveryLost: logging.WARNING,
    InstanceEjected: logging.WARNING,
    TooFewHealthy: logging.WARNING,
    RegistrationFailed: logging.WARNING,
    BreakerChanged: logging.WARNING,
    SheddingStarted: logging.WARNING,
    FellBack: logging.WARNING,
}
# By the watchdog, with the stack, which an event does not carry; by the one worker of all
# that see a breaker's state which changed it.
_SAID_ALREADY = (RequestStuck, BreakerSeen)
_RESERVED = frozenset({*vars(logging.makeLogRecord({})), "message", "asctime", "event", "repeated"})
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MOST_KEPT = 256


def log_events(
    logger: logging.Logger | None = None, *, every: float = 60.0, clock: Clock = system_clock
) -> Listener:
    """Return a listener that writes each event as a line, its fields beside it.

    Trouble is a warning, the rest info; a stuck request is left to the
    watchdog, which logs its stack, and a breaker's state to who changed it. An event
    that is told again and again has one line in ``every`` seconds, which says in
    ``repeated`` how many had none.

    >>> import sys
    >>> from falconkit.log.handler import Handler
    >>> from falconkit.log.logfmt import LogfmtFormatter
    >>> logger = logging.Logger("events")
    >>> logger.addHandler(Handler(sys.stdout, formatter=LogfmtFormatter()))
    >>> from falconkit.events import Events
    >>> Events(log_events(logger)).tell(BackendFailed("statsd", "away"))  # doctest: +ELLIPSIS
    ts=... level=warning logger=events msg="backend failed" event=backend_failed backend=statsd ...

    Args:
        logger: Where to; ``falconkit.events`` when None.
        every: Seconds in which equal events have one line.
        clock: Whose seconds these are.
    """
    to = logging.getLogger("falconkit.events") if logger is None else logger
    told: dict[Event, list[float]] = {}
    lock = threading.Lock()

    def listen(event: Event) -> None:
        repeated = None if isinstance(event, _SAID_ALREADY) else _repeated(event)
        if repeated is None:
            return
        name = _WORD_START.sub("_", type(event).__name__).lower()
        extra: dict[str, object] = {"event": name}
        for field in dataclasses.fields(event):
            free = f"{field.name}_" if field.name in _RESERVED else field.name
            extra[free] = getattr(event, field.name)
        if repeated:
            extra["repeated"] = repeated
        to.log(_LEVELS.get(type(event), logging.INFO), name.replace("_", " "), extra=extra)

    def _repeated(event: Event) -> int | None:
        now = clock.monotonic()
        with lock:
            try:
                last = told.get(event)
            except TypeError:
                return 0  # an event of the user's own, with a field that cannot be hashed
            if last is not None and now - last[0] < every:
                last[1] += 1
                return None
            if len(told) >= _MOST_KEPT:
                told.clear()
            told[event] = [now, 0]
            return int(last[1]) if last is not None else 0

    return listen
