"""Time is an argument: everything that needs it takes a ``clock=``."""

import time
from typing import Protocol


class Clock(Protocol):
    """What falconkit asks of time. The standard library's ``time`` module is one."""

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back (CLOCK_MONOTONIC)."""

    def time(self) -> float:
        """Return seconds since 1970, UTC."""

    def sleep(self, seconds: float, /) -> None:
        """Wait for so many seconds."""


system_clock: Clock = time
"""The machine's clock: the default of every ``clock=``."""
