"""Values in a context that are not its fields, and the keys that several layers know."""

from __future__ import annotations

from typing import Final, Generic, TypeVar

T = TypeVar("T")


class Key(Generic[T]):
    """Names a value of the user's own in a `Context`, with its type.

    Two keys are the same only when they are the same object, so that two
    libraries may both have a key ``"user"``.

    >>> from falconkit import Context
    >>> USER: Key[str] = Key("user")
    >>> Context().having(USER, "ann").get(USER)
    'ann'
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"Key({self.name!r})"


QUEUE_TIME: Final[Key[float]] = Key("queue_time")
"""Seconds that the request waited in the platform's router, where it says so."""

ATTEMPT: Final[Key[int]] = Key("attempt")
"""Which try of a call this is, from 2 on; a first try has none.

One layer tries again (Google's SRE book, "Handling Overload"): within a call
that has this, whoever set it, no layer does.
"""

INSTANCE: Final[Key[str]] = Key("instance")
"""``host:port`` of the instance that a balanced call was sent to: for what stands inside."""

IDEMPOTENT_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
"""Methods whose calls may be made again, though they may have run (RFC 9110, 9.2.2)."""
