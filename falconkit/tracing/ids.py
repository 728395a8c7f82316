"""Random numbers for traces and spans, which no other process draws too."""

from __future__ import annotations

import os
import random
import weakref


class Ids:
    """A generator of a process's own, seeded anew in every forked child.

    The ``random`` module's own would do until somebody calls ``random.seed(42)``:
    all workers then draw the same ids. Ids are names, not secrets, so a
    Mersenne twister seeded by the operating system is enough.

    >>> Ids(random.Random(1)).trace() == Ids(random.Random(1)).trace()
    True

    Args:
        rng: Draws the bits; one of its own, seeded by the system, when None.
    """

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = random.Random() if rng is None else rng
        self.bits = self._rng.getrandbits
        reseed = weakref.WeakMethod(self._forked)
        os.register_at_fork(after_in_child=lambda: (reseed() or int)())

    def trace(self) -> int:
        """Return 128 random bits, never all zero (W3C Trace Context, 3.2.2.3)."""
        return self.bits(128) or 1

    def span(self) -> int:
        """Return 64 random bits, never all zero."""
        return self.bits(64) or 1

    def _forked(self) -> None:
        self._rng.seed()
