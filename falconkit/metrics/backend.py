"""What a backend is: something that takes what was counted since it last did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

from falconkit.metrics.sample import Kind, Sample

Check = Callable[[Kind, str, tuple[str, ...]], None]
"""Takes a metric's kind, name and label names, and raises ConfigurationError if it must."""


@runtime_checkable
class Backend(Protocol):
    """Where metrics are sent. It is called by one thread at a time, never by a request."""

    name: str
    """For the log line and the event when it fails."""

    interval: float
    """Seconds between two calls of `send`, at most: of several backends the shortest counts.

    For what one of them has and another has not is in the memory of its worker alone, and
    would be lost with it.
    """

    def send(self, samples: Sequence[Sample], /) -> None:
        """Send what was counted since the last call that returned.

        Counters and histograms are differences, gauges are what they are now.
        One that raises is given the same amounts again with the next ones.
        """

    def close(self) -> None:
        """Give back what it holds; a later `send` opens it anew."""


@runtime_checkable
class TotalBackend(Protocol):
    """Where totals are shown instead: of a receiver that keeps one value for each instant.

    Such a receiver cannot add up what several workers send. So it is given what the whole
    host amounts to, by one worker an interval, whichever is first.
    """

    name: str
    """For the log line and the event when it fails."""

    interval: float
    """Seconds between two calls of `show` on one host."""

    def show(self, samples: Sequence[Sample], lately: Sequence[Sample], /) -> None:
        """Show what is.

        Args:
            samples: What each series amounts to since the arena was made.
            lately: The same since the last call that returned, in whichever worker.
        """

    def close(self) -> None:
        """Give back what it holds; a later `show` opens it anew."""


@runtime_checkable
class Choosy(Protocol):
    """A backend that cannot carry every metric, and says so when the metric is made."""

    def check(self, kind: Kind, name: str, labels: tuple[str, ...], /) -> None:
        """Refuse a metric that could be sent only in part.

        Raises:
            ConfigurationError: A name or a label cannot be carried.
        """
