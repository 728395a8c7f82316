"""When a breaker opens, and for how long: checked when it is made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from falconkit.errors import ConfigurationError

MOST_CALLS = 1000
"""The longest window by count: what a record of the arena has room for."""

MOST_PROBES = 32

_LEAST_OF_A_RATIO = 10
_LONGEST = 86_400.0


@dataclass(frozen=True, slots=True)
class Rules:
    """What `CircuitBreaker` was given; see there. Its repr is part of the name of shared state.

    >>> Rules(failure_ratio=None)
    Traceback (most recent call last):
    falconkit.errors.ConfigurationError: nothing opens this breaker: give it failure_ratio, \
failures_in_a_row or slow_after
    """

    failure_ratio: float | None = 0.5
    failures_in_a_row: int | None = None
    slow_after: float | None = None
    slow_ratio: float = 0.5
    window: float = 30.0
    window_calls: int | None = None
    minimum_calls: int | None = None
    wait: float = 5.0
    max_wait: float = 60.0
    probes: int = 1
    probe_expires: float = 30.0

    def __post_init__(self) -> None:
        """Check every value, and that together they can work.

        Raises:
            ConfigurationError: With the value, and what to do.
        """
        self._check_triggers()
        for name in ("slow_after", "window", "wait", "max_wait", "probe_expires"):
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and 0 < value <= _LONGEST):
                raise ConfigurationError(f"{name} is seconds above 0, a day at most, got {value!r}")
        for name, least, most in (
            ("failures_in_a_row", 1, 1_000_000),
            ("window_calls", 1, MOST_CALLS),
            ("minimum_calls", 1, 1_000_000),
            ("probes", 1, MOST_PROBES),
        ):
            value = getattr(self, name)
            if value is not None and not (type(value) is int and least <= value <= most):
                raise ConfigurationError(f"{name} is {least} to {most}, got {value!r}")
        if self.wait > self.max_wait:
            raise ConfigurationError(
                f"wait is {self.wait!r}, longer than max_wait, {self.max_wait!r}: raise that too"
            )
        if self.window_calls is not None and self.window_calls < self.least:
            raise ConfigurationError(
                f"a window of {self.window_calls} calls never has the {self.least} calls that "
                "are needed for a ratio: raise window_calls or lower minimum_calls"
            )

    def _check_triggers(self) -> None:
        if (self.failure_ratio, self.failures_in_a_row, self.slow_after) == (None, None, None):
            raise ConfigurationError(
                "nothing opens this breaker: give it failure_ratio, failures_in_a_row or slow_after"
            )
        for name in ("failure_ratio", "slow_ratio"):
            value = getattr(self, name)
            if name == "failure_ratio" and value is None:
                continue
            if not (_is_number(value) and 0 < value <= 1):
                raise ConfigurationError(f"{name} is above 0 and at most 1, got {value!r}")

    @property
    def least(self) -> int:
        """Calls in the window under which no ratio opens it."""
        return _LEAST_OF_A_RATIO if self.minimum_calls is None else self.minimum_calls

    @property
    def least_of_a_row(self) -> int:
        """Calls since it closed under which no row of failures opens it."""
        return 1 if self.minimum_calls is None else self.minimum_calls

    def wait_of(self, trip: int) -> float:
        """Return seconds to stay open at the so-many-th trip, before jitter.

        >>> [Rules().wait_of(trip) for trip in (1, 2, 3, 4, 5, 9999)]
        [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
        """
        return min(self.max_wait, math.ldexp(self.wait, min(trip, 64) - 1))


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
