"""When to stop trying: values that combine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from falconkit.errors import ConfigurationError

MOST_TRIES = 100
"""Tries that a call has at the very most, whatever its `Stop` says."""


class Stop:
    """Whether a call has had all the tries it gets: `tries`, `seconds`, or one of your own.

    ``|`` stops when either would, ``&`` when both would.

    >>> stop = tries(5) | seconds(2)
    >>> stop, stop.reached(2, 0.5), stop.reached(2, 2.5)
    (tries(5) | seconds(2), False, True)
    """

    __slots__ = ()

    def reached(self, tries: int, elapsed: float, /) -> bool:
        """Tell whether no further try is to be made.

        Args:
            tries: How many have been made, 1 or more.
            elapsed: Seconds from the start of the first to that of the next.
        """
        raise NotImplementedError

    def __or__(self, other: Stop) -> Stop:
        return _Either(self, other) if isinstance(other, Stop) else NotImplemented

    def __and__(self, other: Stop) -> Stop:
        return _Both(self, other) if isinstance(other, Stop) else NotImplemented


def tries(most: int) -> Stop:
    """Stop when a call has been tried ``most`` times, the first one counted.

    >>> tries(3).reached(2, 0.0), tries(3).reached(3, 0.0)
    (False, True)

    Raises:
        ConfigurationError: ``most`` is not a whole number from 1 to 100.
    """
    if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= MOST_TRIES:
        raise ConfigurationError(
            f"tries({most!r}): give a whole number from 1 to {MOST_TRIES}, the first try counted"
        )
    return _Tries(most)


def seconds(most: float) -> Stop:
    """Make no try that would start more than ``most`` seconds after the first.

    A try that runs is not cut short by this; that is a `timeout` inside.

    >>> seconds(2).reached(1, 1.9), seconds(2).reached(1, 2.1)
    (False, True)

    Raises:
        ConfigurationError: ``most`` is not over 0.
    """
    if not 0 < most < math.inf:
        raise ConfigurationError(f"seconds({most!r}): give seconds, over 0")
    return _Seconds(most)


@dataclass(frozen=True, slots=True, repr=False)
class _Tries(Stop):
    most: int

    def reached(self, tries: int, elapsed: float, /) -> bool:
        return tries >= self.most

    def __repr__(self) -> str:
        return f"tries({self.most})"


@dataclass(frozen=True, slots=True, repr=False)
class _Seconds(Stop):
    most: float

    def reached(self, tries: int, elapsed: float, /) -> bool:
        return elapsed > self.most

    def __repr__(self) -> str:
        return f"seconds({self.most!r})"


@dataclass(frozen=True, slots=True, repr=False)
class _Either(Stop):
    one: Stop
    other: Stop

    def reached(self, tries: int, elapsed: float, /) -> bool:
        return self.one.reached(tries, elapsed) or self.other.reached(tries, elapsed)

    def __repr__(self) -> str:
        return f"{self.one!r} | {self.other!r}"


@dataclass(frozen=True, slots=True, repr=False)
class _Both(Stop):
    one: Stop
    other: Stop

    def reached(self, tries: int, elapsed: float, /) -> bool:
        return self.one.reached(tries, elapsed) and self.other.reached(tries, elapsed)

    def __repr__(self) -> str:
        return f"{_bound(self.one)} & {_bound(self.other)}"


def _bound(stop: Stop) -> str:
    return f"({stop!r})" if isinstance(stop, _Either) else repr(stop)
