"""Which new traces are recorded. A trace that arrives has been decided by who began it."""

from __future__ import annotations

from collections.abc import Callable

from falconkit.arena import Arena, default_arena
from falconkit.errors import ConfigurationError

Sampler = Callable[[int], bool]
"""``trace id -> whether to record it``; asked once for each new trace."""

_RANDOM = 1 << 56
"""The low 7 bytes of a trace id are random (W3C Trace Context level 2, 3.2.2.5.2)."""


def always(trace_id: int) -> bool:
    """Record every trace."""
    return True


def never(trace_id: int) -> bool:
    """Record no trace that begins here. Its id is still in each log line, and goes on."""
    return False


def ratio(share: float) -> Sampler:
    """Record this share of the traces.

    The trace id alone decides, so that services with one share choose the same traces.

    >>> half = ratio(0.5)
    >>> half(0x00), half(0xFF << 48)
    (True, False)

    Args:
        share: From 0 to 1.

    Raises:
        ConfigurationError: It is not.
    """
    if not 0 <= share <= 1:
        raise ConfigurationError(f"a share of traces is between 0 and 1, got {share!r}")
    bound = round(share * _RANDOM)
    mask = _RANDOM - 1

    def sample(trace_id: int) -> bool:
        return trace_id & mask < bound

    return sample


def per_second(most: float, *, arena: Arena | None = None) -> Sampler:
    """Record so many traces a second, at most, all workers of this host together.

    A share is a handful of traces at night and a flood at noon; this is as
    many as can be read, at any time. Busy or not, a burst of a second's worth passes.

    >>> some = per_second(2, arena=Arena(directory=None))
    >>> [some(trace_id) for trace_id in range(3)]
    [True, True, False]

    Args:
        most: Traces a second; 0.1 is one in ten seconds.
        arena: Where the bucket is; the host's own when None.

    Raises:
        ConfigurationError: It is not above 0.
    """
    if not 0 < most <= 1e6:
        raise ConfigurationError(f"traces per second are over 0 and up to 1000000, got {most!r}")
    take = (default_arena() if arena is None else arena).buckets("traces").take
    key, interval, burst = f"{most:g}/second", 1 / most, max(1, int(most))

    def sample(trace_id: int) -> bool:
        return take(key, interval, burst)[0]

    return sample
