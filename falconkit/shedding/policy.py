"""What moves a bound: from what one window of calls has shown to the next bound."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from falconkit.errors import ConfigurationError


class Window(NamedTuple):
    """What was seen in one window.

    Attributes:
        seconds: What a call took, the mean; 0.0 when none came to an end.
        in_flight: The most at one time.
        dropped: Calls that timed out, or that a service behind us had no room for.
        refused: Calls that found no place under the bound.
        ended: When it ended: seconds since 1970, which all hosts agree on.
    """

    seconds: float
    in_flight: int
    dropped: int = 0
    refused: int = 0
    ended: float = 0.0


class State(NamedTuple):
    """Where a bound stands.

    Attributes:
        limit: The bound; its whole part counts.
        baseline: The seconds that a call is known to take when nothing waits.
        seen: Windows that have gone into the baseline.
        turn: Of the probes that the clock calls for, the last one that was due.
        resume: The bound to go back to after a probe; 0.0 when there is none.
        drained: Whether what was let in before the probe has had its time to end.
    """

    limit: float
    baseline: float = 0.0
    seen: int = 0
    turn: int = 0
    resume: float = 0.0
    drained: bool = False


class Policy(Protocol):
    """Arithmetic alone: it keeps nothing, so that bounds may share one."""

    def first(self) -> State:
        """Return where a bound starts."""

    def after(self, state: State, window: Window, /) -> State:
        """Return where it stands after one more window."""


def is_used(state: State, window: Window) -> bool:
    """Tell whether so much was asked for that the window says something of the bound.

    Netflix's rule: half of the bound, lest it grow while nobody needs it.

    >>> is_used(State(10.0), Window(0.1, in_flight=4)), is_used(State(10.0), Window(0.1, 5))
    (False, True)
    """
    return window.refused > 0 or window.in_flight * 2 >= state.limit


def check_bounds(initial: float, least: int, most: int) -> None:
    """Refuse bounds that are none.

    Raises:
        ConfigurationError: It is not so that ``1 <= least <= initial <= most``.
    """
    if not 1 <= least <= initial <= most < float("inf"):
        raise ConfigurationError(
            f"least={least!r}, initial={initial!r}, most={most!r}: "
            "give 1 <= least <= initial <= most"
        )


def check_between(name: str, value: float, low: float, high: float) -> None:
    """Refuse a number that is not from ``low`` to ``high``.

    Raises:
        ConfigurationError: It is not.
    """
    if not low <= value <= high:
        raise ConfigurationError(f"{name} is {value!r}: give a number from {low:g} to {high:g}")
