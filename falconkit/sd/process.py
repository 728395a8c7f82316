"""What each process has of its own: a forked child must not use its parent's threads and locks."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerProcess(Generic[T]):
    """One object a process, made on first use there.

    A thread of the parent does not live on in a child, and a lock that one of
    them held stays held; so nothing of the kind is ever taken over.

    >>> here = PerProcess(list)
    >>> here.get() is here.get()
    True
    """

    __slots__ = ("_made", "_make")

    def __init__(self, make: Callable[[], T]) -> None:
        """Make nothing yet. Two threads may both call ``make``; they get the same object."""
        self._make = make
        self._made: dict[int, T] = {}

    def get(self) -> T:
        """Return this process's object."""
        found = self._made.get(os.getpid())
        return self._begin() if found is None else found

    def found(self) -> T | None:
        """Return this process's object if there is one."""
        return self._made.get(os.getpid())

    def _begin(self) -> T:
        pid = os.getpid()
        made = self._made.setdefault(pid, self._make())
        for inherited in [each for each in list(self._made) if each != pid]:
            self._made.pop(inherited, None)
        return made
