"""A reporter that sends from a thread of its own: what a backend is made from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Unpack

from falconkit.errors import ConfigurationError
from falconkit.events import Events
from falconkit.tracing.batches import Batches, QueueOptions
from falconkit.tracing.recording import Recording, Report


class BatchReporter:
    """A `Reporter` that sends from a thread of each process, which starts with its first span.

    Requests wait for nothing: when the queue is full a span is dropped, and
    counted. A batch that cannot be delivered is tried again, later and
    later, up to ``tries`` times; then it is dropped, and counted. A subclass
    says how a batch is delivered, by `send`.

    >>> class Count(BatchReporter):
    ...     def send(self, spans: list[Recording]) -> None:
    ...         print(len(spans))
    >>> Count("count").flush()

    Attributes:
        service: Whose spans they are.
        report: Takes a span, or drops it when too many wait.
        batches: The queue, and how many were ``sent`` and ``dropped``.

    Args:
        name: The backend's, for the log and for `BackendFailed`.
        **queue: See `QueueOptions`.

    Raises:
        ConfigurationError: A number is not above 0.
    """

    report: Report

    def __init__(self, name: str, **queue: Unpack[QueueOptions]) -> None:
        self.service = ""
        self.batches = Batches(name, self.send, **queue)
        self.report = self.batches.put

    def send(self, spans: list[Recording]) -> None:
        """Deliver a batch, in the thread.

        Raises:
            NotDelivered: Another try is worth it. After any other error it is not.
        """
        raise NotImplementedError

    def serve(self, service: str, /) -> None:
        """Hear whose spans they are.

        Raises:
            ConfigurationError: They are another service's already.
        """
        if self.service not in ("", service):
            raise ConfigurationError(
                f"{self!r} reports for {self.service!r} and cannot for {service!r}: make it one "
                "of its own"
            )
        self.service = service

    def attach(self, events: Events, count: Callable[[str, int], None], /) -> None:
        """Tell ``events`` of trouble, and ``count`` of spans ``sent`` and ``dropped``."""
        self.batches.attach(events, count)

    def flush(self) -> None:
        """Send what is unsent, now, in this thread. Never raises."""
        self.batches.flush()

    def close(self) -> None:
        """Send what is unsent, at most 2 s; what comes later is dropped."""
        self.batches.close()
