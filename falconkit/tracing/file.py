"""Spans into a file, one line of Zipkin's JSON each."""

from __future__ import annotations

import os
from typing import Unpack

import msgspec

from falconkit.errors import ConfigurationError
from falconkit.tracing.batch_reporter import BatchReporter
from falconkit.tracing.batches import NotDelivered, QueueOptions
from falconkit.tracing.recording import Recording
from falconkit.tracing.zipkin_json import zipkin_span


class FileReporter(BatchReporter):
    """Appends spans to a file, by a thread of each worker; see `BatchReporter`.

    Workers may share the file: each batch is one write at its end. It is
    opened anew for each batch, so that whatever rotates logs may move it away.
    A batch goes to Zipkin by ``jq -s . FILE | curl -d @- .../api/v2/spans``.

    >>> FileReporter("spans.jsonl")
    FileReporter('spans.jsonl')

    Args:
        path: The file, made when it is not there; its folder must be.
        **queue: See `QueueOptions`.

    Raises:
        ConfigurationError: The path is empty, or a number cannot be used.
    """

    def __init__(self, path: str | os.PathLike[str], **queue: Unpack[QueueOptions]) -> None:
        self.path = os.fspath(path)
        if not self.path:
            raise ConfigurationError("FileReporter() got an empty path: name the file")
        self._encode = msgspec.json.Encoder().encode_lines
        super().__init__("spans file", **queue)

    def send(self, spans: list[Recording]) -> None:
        """Append a batch."""
        lines = memoryview(self._encode([zipkin_span(span, self.service) for span in spans]))
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
            try:
                while lines:
                    lines = lines[os.write(file, lines) :]
            finally:
                os.close(file)
        except OSError as error:
            raise NotDelivered(str(error)) from error

    def __repr__(self) -> str:
        return f"FileReporter({self.path!r})"
