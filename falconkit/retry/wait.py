"""How long to wait before the next try: values that add up.

Waits without jitter let callers that failed together come back together; full
jitter spreads them best (Brooker, "Exponential Backoff and Jitter", AWS 2015).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from falconkit.errors import ConfigurationError

Uniform = Callable[[float, float], float]
"""``(low, high) -> number between them``, as `random.uniform`."""

_LONGEST = 3600.0
_STEEPEST = 60  # doublings after which any base is over any cap


class Wait:
    """Seconds before the next try: `full_jitter` and its like, or one of your own.

    ``+`` adds: ``fixed(0.01) + full_jitter()`` has a shortest wait.

    >>> fixed(0.5) + exponential(1.0, 10.0)
    fixed(0.5) + exponential(base=1.0, cap=10.0)
    """

    __slots__ = ()

    def before(self, retry: int, uniform: Uniform, /) -> float:
        """Return the seconds to wait.

        Args:
            retry: Which retry comes next, from 1: the second try is the first retry.
            uniform: Where chance comes from.
        """
        raise NotImplementedError

    def __add__(self, other: Wait) -> Wait:
        return _Sum(self, other) if isinstance(other, Wait) else NotImplemented


def fixed(seconds: float) -> Wait:
    """Wait the same time before each retry.

    Raises:
        ConfigurationError: ``seconds`` is not from 0 to 3600.
    """
    if not 0 <= seconds <= _LONGEST:
        raise ConfigurationError(f"fixed({seconds!r}): give seconds from 0 to {_LONGEST:.0f}")
    return _Fixed(seconds)


def exponential(base: float, cap: float) -> Wait:
    """Wait ``base`` seconds, then twice as long each time, up to ``cap``: without jitter.

    >>> [exponential(0.1, 0.5).before(n, min) for n in (1, 2, 3, 4)]
    [0.1, 0.2, 0.4, 0.5]

    Raises:
        ConfigurationError: Not 0 < ``base`` <= ``cap`` <= 3600.
    """
    return _Exponential("exponential", *_checked("exponential", base, cap), 1.0)


def full_jitter(base: float = 0.025, cap: float = 0.25) -> Wait:
    """Wait any time from 0 to what `exponential` would: Envoy's base and cap.

    >>> wait = full_jitter(0.1, 0.5)
    >>> [wait.before(n, max) for n in (1, 2, 3, 4)], wait.before(4, min)
    ([0.1, 0.2, 0.4, 0.5], 0.0)

    Raises:
        ConfigurationError: Not 0 < ``base`` <= ``cap`` <= 3600.
    """
    return _Exponential("full_jitter", *_checked("full_jitter", base, cap), 0.0)


def equal_jitter(base: float = 0.025, cap: float = 0.25) -> Wait:
    """Wait at least half of what `exponential` would, and any time up to all of it.

    >>> equal_jitter(0.1, 0.5).before(4, min)
    0.25

    Raises:
        ConfigurationError: Not 0 < ``base`` <= ``cap`` <= 3600.
    """
    return _Exponential("equal_jitter", *_checked("equal_jitter", base, cap), 0.5)


@dataclass(frozen=True, slots=True, repr=False)
class _Fixed(Wait):
    seconds: float

    def before(self, retry: int, uniform: Uniform, /) -> float:
        return self.seconds

    def __repr__(self) -> str:
        return f"fixed({self.seconds!r})"


@dataclass(frozen=True, slots=True, repr=False)
class _Exponential(Wait):
    name: str
    base: float
    cap: float
    least: float  # as a part of the longest

    def before(self, retry: int, uniform: Uniform, /) -> float:
        most = min(self.cap, self.base * 2.0 ** min(retry - 1, _STEEPEST))
        return most if self.least == 1.0 else uniform(most * self.least, most)

    def __repr__(self) -> str:
        return f"{self.name}(base={self.base!r}, cap={self.cap!r})"


@dataclass(frozen=True, slots=True, repr=False)
class _Sum(Wait):
    one: Wait
    other: Wait

    def before(self, retry: int, uniform: Uniform, /) -> float:
        return self.one.before(retry, uniform) + self.other.before(retry, uniform)

    def __repr__(self) -> str:
        return f"{self.one!r} + {self.other!r}"


def _checked(name: str, base: float, cap: float) -> tuple[float, float]:
    if not 0 < base <= cap <= _LONGEST:
        raise ConfigurationError(
            f"{name}(base={base!r}, cap={cap!r}): give seconds, 0 < base <= cap <= {_LONGEST:.0f}"
        )
    return base, cap
