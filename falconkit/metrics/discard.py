"""Send metrics nowhere."""

from __future__ import annotations

from collections.abc import Sequence

from falconkit.metrics.sample import Sample


class Discard:
    """A backend that takes everything and keeps nothing, where one has to be given.

    >>> Discard().send([])
    """

    name = "discard"
    interval = 3600.0

    def send(self, samples: Sequence[Sample], /) -> None:
        """Take it."""

    def close(self) -> None:
        """Nothing: it holds nothing."""
