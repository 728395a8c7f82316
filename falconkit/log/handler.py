"""The handler that all lines of a process go through."""

from __future__ import annotations

import contextvars
import logging
import os
import sys
import weakref
from collections.abc import Callable
from typing import IO, Any, Protocol

from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError
from falconkit.log.fit import LIMIT, PIPE_LIMIT, cut_text
from falconkit.log.formatter import LineFormatter
from falconkit.log.json_lines import JsonFormatter
from falconkit.log.line import RequestLine
from falconkit.log.target import Target, open_target

LOG_WAIT = 0.05


class Sink(Protocol):
    """Where finished lines go. `Handler` is one."""

    def write_line(self, line: bytes, /) -> None:
        """Take one line, newline included."""


class Handler(logging.Handler):
    r"""Writes each line by one ``os.write``, and never makes a request wait for long.

    When nobody reads the pipe and it is full, the first line waits
    ``wait`` seconds for room and is dropped, the next ones are dropped at
    once until there is room again; a line then says how many were. The same
    holds for a reader that has gone and for a full disk.

    Nothing is opened before the first line, and again after a fork.

    >>> import io
    >>> out = io.StringIO()
    >>> handler = Handler(out)
    >>> handler.handle(logging.makeLogRecord({"msg": "up", "levelname": "INFO"}))
    True
    >>> out.getvalue()[-16:], handler.dropped
    ('"message":"up"}\n', 0)

    Args:
        stream: Where to write; ``sys.stdout`` of the first line when None.
        formatter: How; JSON when None.
        wait: Seconds that a line waits for room.
        pipe_limit: A line to a pipe has fewer bytes.
        limit: A line to anything else has fewer bytes.
        clock: Whose seconds these are.

    Attributes:
        dropped: How many lines this process could not write.

    Raises:
        ConfigurationError: ``wait`` or a limit cannot be.
    """

    def __init__(
        self,
        stream: IO[Any] | None = None,
        *,
        formatter: logging.Formatter | None = None,
        wait: float = LOG_WAIT,
        pipe_limit: int = PIPE_LIMIT,
        limit: int = LIMIT,
        clock: Clock = system_clock,
    ) -> None:
        if not 0 <= wait <= 10:
            raise ConfigurationError(f"wait={wait!r}: give seconds from 0 to 10")
        if min(pipe_limit, limit) < 200:
            raise ConfigurationError(
                f"pipe_limit={pipe_limit!r}, limit={limit!r}: a line needs 200 bytes"
            )
        super().__init__()
        self.formatter: logging.Formatter = JsonFormatter() if formatter is None else formatter
        self.dropped = 0
        self._stream = stream
        self._wait = self._patience = wait
        self._limits = (pipe_limit, limit)
        self._clock = clock
        self._target: Target | None = None
        self._unsaid = 0
        os.register_at_fork(after_in_child=_call_weakly(weakref.WeakMethod(self._begin_in_child)))

    @property
    def limit(self) -> int:
        """The number of bytes that a line stays under, by what is written to."""
        try:
            return (self._target or self._open()).limit
        except Exception:
            return self._limits[0]

    def handle(self, record: logging.LogRecord) -> bool | logging.LogRecord:  # type: ignore[override]
        """Write a record unless a filter refuses it."""
        # Not under the lock, as logging would: a repr that logs, or that waits for a
        # thread which logs, must not meet it.
        passed = self.filter(record)
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return passed

    def emit(self, record: logging.LogRecord) -> None:
        """Format a record and write it."""
        try:
            line = self._line(record, self.limit)
        except Exception:
            self.handleError(record)
        else:
            self.write_line(line)

    def write_request(self, line: RequestLine, formatter: LineFormatter) -> None:
        """Format a request's line and write it."""
        target = self._target
        put = None if target is None else target.put
        if target is None or put is None or self._unsaid:
            self.write_line(formatter.request_line(line, self.limit))
            return
        text = formatter.request_line(line, target.limit)
        # PERF: 0.2 us less than by `write_line`, and no thread waits for another's write. A line
        # that goes whole needs no lock: the kernel lets no other write come between.
        try:
            sent = put(text)
        except Exception:
            sent = 0  # as told by the next try, under the lock
        if sent != len(text):
            self._write(text, sent)

    def write_line(self, line: bytes, /) -> None:
        """Write one finished line, newline included; never raises."""
        self._write(line, 0)

    def close(self) -> None:
        """Leave what was opened; a later line opens it again."""
        with self.lock:  # type: ignore[union-attr]
            self._target = None
        super().close()

    def _write(self, line: bytes, sent: int) -> None:
        # Under the lock, which keeps a line that is written in two parts whole.
        with self.lock:  # type: ignore[union-attr]
            try:
                target = self._target or self._open()
                written = target.write(line, sent, self._patience, self._clock)
            except Exception:
                # It is opened anew for the next line: stdout may be another by then.
                self._target = None
                written = False
            if not written:
                self._patience = 0.0
                self.dropped += 1
                self._unsaid += 1
            elif self._unsaid:
                self._patience = self._wait
                self._say_dropped()

    def _open(self) -> Target:
        stream = sys.stdout if self._stream is None else self._stream
        self._target = open_target(stream, *self._limits)
        return self._target

    def _line(self, record: logging.LogRecord, limit: int) -> bytes:
        if isinstance(self.formatter, LineFormatter):
            return self.formatter.record_line(record, limit)
        text = self.format(record).replace("\r", "\\r").replace("\n", "\\n")
        if len(text.encode("utf-8", "backslashreplace")) >= limit - 1:
            text = cut_text(text, limit - 1)
        return text.encode("utf-8", "backslashreplace") + b"\n"

    def _say_dropped(self) -> None:
        count, self._unsaid = self._unsaid, 0
        told = {
            "name": "falconkit.log",
            "levelno": logging.WARNING,
            "levelname": "WARNING",
            "msg": "%d log lines were dropped: the reader of the log was too slow, or away",
            "args": (count,),
            "dropped": count,
        }
        # In no request's context: the request that found room is not the one to blame.
        line = contextvars.Context().run(self._line, logging.makeLogRecord(told), self.limit)
        try:
            said = self._target is not None and self._target.write(line, 0, 0.0, self._clock)
        except Exception:
            said = False
        if not said:
            self._unsaid += count

    def _begin_in_child(self) -> None:
        self._target = None
        self.dropped = self._unsaid = 0
        self._patience = self._wait


def _call_weakly(method: weakref.WeakMethod[Callable[[], None]]) -> Callable[[], None]:
    def call() -> None:
        alive = method()
        if alive is not None:
            alive()

    return call
