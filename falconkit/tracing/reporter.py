"""Where finished spans go."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from falconkit.events import Events
from falconkit.tracing.recording import Recording


class Reporter(Protocol):
    """Takes the finished spans of a `LeanTracer`. The request's thread calls it."""

    def serve(self, service: str, /) -> None:
        """Hear whose spans they are. A tracer calls it, once."""

    def report(self, span: Recording, /) -> None:
        """Take a span: at once, or drop it. It never waits and never raises."""

    def attach(self, events: Events, count: Callable[[str, int], None], /) -> None:
        """Tell ``events`` of trouble, and ``count`` of spans ``sent`` and ``dropped``."""

    def flush(self) -> None:
        """Send what is unsent, now, in this thread. Never raises."""

    def close(self) -> None:
        """Send what is unsent, at most 2 s; what comes later is dropped."""
