"""Finished spans in a list: for tests, and for a look at what is recorded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from falconkit.events import Events
from falconkit.tracing.recording import Recording


class SpanList:
    """A `Reporter` that keeps the last spans, in the order in which they ended.

    >>> len(SpanList())
    0

    Args:
        most: How many are kept.
    """

    def __init__(self, most: int = 1000) -> None:
        self._spans: deque[Recording] = deque(maxlen=most)
        self.service = ""

    def serve(self, service: str, /) -> None:
        """Hear whose spans they are."""
        self.service = service

    def report(self, span: Recording, /) -> None:
        """Keep it."""
        self._spans.append(span)

    def attach(self, events: Events, count: Callable[[str, int], None], /) -> None:
        """Nothing: it has no trouble to tell of."""

    def flush(self) -> None:
        """Nothing: it sends nothing."""

    def close(self) -> None:
        """Nothing: it sends nothing."""

    def __iter__(self) -> Iterator[Recording]:
        return iter(tuple(self._spans))

    def __len__(self) -> int:
        return len(self._spans)
