"""Wait for another process. Time itself is never waited for: that is `ManualClock`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from falconkit.clock import Clock, system_clock

T = TypeVar("T")


def wait_until(
    predicate: Callable[[], T],
    timeout: float = 60.0,
    *,
    interval: float = 0.02,
    what: str = "",
    clock: Clock = system_clock,
) -> T:
    """Call ``predicate`` until it returns something true, and return that.

    For what another process or thread does: a server that comes up, a file
    that appears. An ``OSError`` of the predicate counts as "not yet", since
    that is what a server that is not up yet gives.

    >>> wait_until(lambda: "up")
    'up'

    Args:
        predicate: Asked again and again.
        timeout: Seconds until it is given up.
        interval: Seconds between two tries.
        what: What is waited for, for the message.
        clock: Whose seconds these are.

    Raises:
        AssertionError: It was still not true after ``timeout`` seconds.
    """
    end = clock.monotonic() + timeout
    last: object = None
    while True:
        try:
            value = predicate()
        except OSError as error:
            last = error
        else:
            if value:
                return value
            last = value
        if clock.monotonic() >= end:
            name = what or getattr(predicate, "__name__", repr(predicate))
            raise AssertionError(f"{name}: not after {timeout:g} s; the last answer was {last!r}")
        clock.sleep(interval)
