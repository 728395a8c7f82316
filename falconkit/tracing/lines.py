"""Spans into the log, one record each."""

from __future__ import annotations

import logging
from typing import Unpack

from falconkit.errors import ConfigurationError
from falconkit.tracing.batch_reporter import BatchReporter
from falconkit.tracing.batches import QueueOptions
from falconkit.tracing.recording import Recording
from falconkit.tracing.zipkin_json import tags_of, text


class LogReporter(BatchReporter):
    """Logs spans, by a thread of each worker; see `BatchReporter`.

    A record says ``span add`` and carries ``trace_id``, ``span_id``, ``parent_id``,
    ``kind``, ``elapsed`` in seconds, and the tags as ``tags``.

    >>> LogReporter()
    LogReporter('falconkit.spans')

    Args:
        logger: Where to; ``falconkit.spans`` when None.
        level: The records' level.
        **queue: See `QueueOptions`.

    Raises:
        ConfigurationError: The level is no number, or another number cannot be used.
    """

    def __init__(
        self,
        logger: logging.Logger | None = None,
        *,
        level: int = logging.INFO,
        **queue: Unpack[QueueOptions],
    ) -> None:
        super().__init__("log", **queue)
        if not isinstance(level, int):
            raise ConfigurationError(f"level={level!r}: give a number, as logging.INFO is one")
        self._logger = logging.getLogger("falconkit.spans") if logger is None else logger
        self._level = level

    def send(self, spans: list[Recording]) -> None:
        """Log a batch."""
        for span in spans:
            extra: dict[str, object] = {"trace_id": span.trace_id, "span_id": span.span_id}
            if span.parent:
                extra["parent_id"] = span.parent_id
            extra |= {"kind": span.kind, "elapsed": span.seconds}
            if span.annotations:
                extra["annotations"] = [text(what) for _, what in span.annotations]
            extra["tags"] = tags_of(span)
            self._logger.log(self._level, "span %s", text(span.name), extra=extra)

    def __repr__(self) -> str:
        return f"LogReporter({self._logger.name!r})"
