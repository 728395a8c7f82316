"""Whether a call may be made again, though it may have run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from falconkit.context import IDEMPOTENT_METHODS, Context
from falconkit.errors import ConfigurationError
from falconkit.naming import inward

Repeatable = Callable[[Context], bool]


def said(endpoint: Callable[..., Any], told: bool | None) -> bool | None:
    """Return whether an endpoint's calls may be made again, None when nobody says.

    >>> from falconkit import nop
    >>> said(nop, None), said(nop, True)
    (None, True)

    Args:
        endpoint: It, or what is wrapped in it, may have an ``idempotent``, as a client has.
        told: What the middleware was given; it counts first.
    """
    if told is not None:
        return told
    for each in inward(endpoint):
        has = getattr(each, "idempotent", None)
        if isinstance(has, bool):
            return has
    return None


def check_told(told: bool | None) -> None:
    """Check what a middleware was given.

    Raises:
        ConfigurationError: It is neither True, False nor None.
    """
    if told is not None and not isinstance(told, bool):
        raise ConfigurationError(f"idempotent={told!r}: give True, False or None")


def repeatable_of(said: bool | None) -> Repeatable:
    """Return what tells of a call whether it may be made again.

    When nobody says, the method of the request that we serve does: who sent a GET
    may send it again, and all that we do for it would be done again then.
    """
    if said is None:
        return lambda ctx: ctx.method in IDEMPOTENT_METHODS
    return lambda ctx: said
