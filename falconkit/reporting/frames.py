"""What an exception holds on to: the frames it went through, and all their variables."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from types import FrameType, TracebackType
from typing import Final

_MOST: Final = 32


def forget_locals(error: BaseException) -> None:
    """Clear the variables of the frames that ``error`` and its causes went through.

    They hold bodies, headers and passwords, which would wait in a queue, and which trackers
    send along. Frames that still run cannot be cleared and are left out of the
    traceback: that is the one in which the error was caught.

    >>> def endpoint(password):
    ...     raise KeyError("v")
    >>> try:
    ...     endpoint("hunter2")
    ... except KeyError as error:
    ...     forget_locals(error)
    ...     caught = error
    >>> caught.__traceback__.tb_frame.f_code.co_name, caught.__traceback__.tb_frame.f_locals
    ('endpoint', {})
    """
    # PERF: 5 us at gunicorn's depth; it runs for what is reported, a few times a minute.
    running = set(_stack(sys._getframe(1)))
    for each in chained(error):
        trace: TracebackType | None = each.__traceback__
        while trace is not None and trace.tb_frame in running:
            trace = trace.tb_next
        each.__traceback__ = trace
        traceback.clear_frames(trace)


def chained(error: BaseException) -> Iterator[BaseException]:
    """Yield ``error``, and what it was raised from, with and beside; 32 at most."""
    left, seen = [error], {id(error)}
    while left and len(seen) <= _MOST:
        each = left.pop()
        yield each
        inner = each.exceptions if isinstance(each, BaseExceptionGroup) else ()
        for other in (each.__cause__, each.__context__, *inner):
            if other is not None and id(other) not in seen:
                seen.add(id(other))
                left.append(other)


def raised_at(error: BaseException) -> tuple[str, int]:
    """Return the file and line that raised ``error``, ``("", 0)`` when nobody did."""
    trace = error.__traceback__
    if trace is None:
        return "", 0
    while trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_filename, trace.tb_lineno


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
