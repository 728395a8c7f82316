"""A bound that goes up by one and down by a tenth."""

from __future__ import annotations

from dataclasses import dataclass

from falconkit.shedding.policy import State, Window, check_between, check_bounds, is_used


@dataclass(frozen=True, slots=True)
class AIMD:
    """Grows by one call until calls take too long or are dropped, then shrinks by a tenth.

    Additive increase, multiplicative decrease (Chiu and Jain, 1989), with the
    ratio of ``AIMDLimit`` in Netflix's concurrency-limits. There each call moves
    the bound; here a window does, so that one burst of slow calls counts once.

    >>> policy = AIMD(timeout=0.25, initial=10)
    >>> policy.after(policy.first(), Window(seconds=0.1, in_flight=10)).limit
    11.0
    >>> policy.after(policy.first(), Window(seconds=0.3, in_flight=10)).limit
    9.0

    Attributes:
        timeout: Seconds that calls may take, in the mean.
        initial: The bound to start with.
        least: It is never less.
        most: It is never more.
        backoff: What is left of it when calls take too long: 0.5..0.99.

    Raises:
        ConfigurationError: One of them cannot be used.
    """

    timeout: float
    initial: float = 4
    least: int = 1
    most: int = 200
    backoff: float = 0.9

    def __post_init__(self) -> None:
        check_bounds(self.initial, self.least, self.most)
        check_between("timeout", self.timeout, 0.000_1, 3_600.0)
        check_between("backoff", self.backoff, 0.5, 0.99)

    def first(self) -> State:
        """Return the initial bound."""
        return State(float(self.initial))

    def after(self, state: State, window: Window, /) -> State:
        """Return the bound after one more window."""
        limit = state.limit
        if window.dropped or window.seconds > self.timeout:
            limit *= self.backoff
        elif is_used(state, window):
            limit += 1.0
        return State(max(self.least, min(self.most, limit)))
