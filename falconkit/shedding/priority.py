"""Who is refused last."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Final

from falconkit.context import Context
from falconkit.errors import ConfigurationError


class Priority(IntEnum):
    """What a call is worth when not all can be served."""

    CRITICAL = 0
    """Refused last: probes, paying callers, the step after which money is due."""

    NORMAL = 1
    """Most calls."""

    SHEDDABLE = 2
    """Refused first: prefetches, batches, what will be tried again unseen."""


PriorityOf = Callable[[Context, Any], Priority]
"""Says what a call is worth, from the context and the request."""

SHARES: Final[Mapping[Priority, float]] = MappingProxyType(
    {Priority.CRITICAL: 1.0, Priority.NORMAL: 0.9, Priority.SHEDDABLE: 0.5}
)
"""The part of the bound up to which calls of a priority are let in."""


def checked(shares: Mapping[Priority, float]) -> dict[Priority, float]:
    """Return the shares, once they are known to refuse the worthless first.

    Raises:
        ConfigurationError: One is missing or not within 0..1, or a lesser priority has more.
    """
    found = {priority: float(shares.get(priority, math.nan)) for priority in Priority}
    values = list(found.values())
    if not all(0 < value <= 1 for value in values) or values != sorted(values, reverse=True):
        raise ConfigurationError(
            f"shares={dict(shares)!r}: give each of {', '.join(p.name for p in Priority)} a part "
            "of the bound, more than 0, at most 1, and no more than the priority above it"
        )
    return found


def share_of(shares: Mapping[Priority, float], worth: Priority) -> float:
    """Return the share of a priority.

    Raises:
        ValueError: It is none.
    """
    try:
        return shares[worth]
    except (KeyError, TypeError):
        raise ValueError(f"priority= returned {worth!r}: it must return a Priority") from None
