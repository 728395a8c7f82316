"""Several reporters as one."""

from __future__ import annotations

from collections.abc import Callable

from falconkit.errors import ConfigurationError
from falconkit.events import Events
from falconkit.tracing.recording import Recording
from falconkit.tracing.reporter import Reporter


class Several:
    """A `Reporter` that hands each span to several: to Zipkin and to ``/debug/traces``, say.

    >>> from falconkit.tracing import SpanList
    >>> Several(SpanList(), SpanList()).flush()

    Args:
        *reporters: Who gets each span.

    Raises:
        ConfigurationError: There is none.
    """

    def __init__(self, *reporters: Reporter) -> None:
        if not reporters or not all(callable(getattr(each, "report", None)) for each in reporters):
            raise ConfigurationError(f"Several() takes reporters, got {reporters!r}")
        self._reporters = reporters
        self._reports = tuple(each.report for each in reporters)

    def serve(self, service: str, /) -> None:
        """Hear whose spans they are."""
        for each in self._reporters:
            each.serve(service)

    def report(self, span: Recording, /) -> None:
        """Hand a span to each."""
        for report in self._reports:
            report(span)

    def attach(self, events: Events, count: Callable[[str, int], None], /) -> None:
        """Tell ``events`` of trouble, and ``count`` of spans ``sent`` and ``dropped``."""
        for each in self._reporters:
            each.attach(events, count)

    def flush(self) -> None:
        """Send what is unsent, now, in this thread. Never raises."""
        for each in self._reporters:
            each.flush()

    def close(self) -> None:
        """Close each, one after the other."""
        for each in self._reporters:
            each.close()

    def __repr__(self) -> str:
        return f"Several({', '.join(map(repr, self._reporters))})"
