"""Where finished lines go: one write a line, which never blocks for long."""

from __future__ import annotations

import contextlib
import os
import select
import stat
from collections.abc import Callable
from functools import partial
from typing import IO, Any, Protocol

from falconkit.clock import Clock
from falconkit.log.fit import LIMIT, PIPE_LIMIT


class Target(Protocol):
    """What a `Handler` writes to.

    Attributes:
        limit: A line has fewer bytes.
        put: Writes a line at once, and returns how many bytes of it went; None
            where, or while, room has to be asked for first.
    """

    limit: int
    put: Callable[[bytes], int] | None

    def write(self, line: bytes, sent: int, wait: float, clock: Clock) -> bool:
        """Write a line of which ``sent`` bytes went by ``put``.

        Returns:
            False when there was no room for it in ``wait`` seconds.

        Raises:
            OSError, ValueError: It is closed, full, or its reader has gone.
        """


class Descriptor:
    """A file, a device, a pipe or a socket.

    One that is owned is closed when nobody holds this any more, and not sooner: a thread
    may be about to write to its number, which by then were another file's.

    Args:
        fd: Where to write.
        limit: A line has fewer bytes.
        polls: True when a write may block, so that room is asked for first.
        owned: True when ``fd`` is closed with this.
    """

    __slots__ = ("_at_once", "_fd", "_owned", "_torn", "limit", "put")

    def __init__(self, fd: int, limit: int, *, polls: bool, owned: bool) -> None:
        self._fd = fd
        self._owned = owned
        self._torn = False
        self._at_once: Callable[[bytes], int] | None = None if polls else partial(os.write, fd)
        self.put: Callable[[bytes], int] | None = self._at_once
        self.limit = limit

    def write(self, line: bytes, sent: int, wait: float, clock: Clock) -> bool:
        """Write a line whole; the rest of a short write follows when there is room."""
        if self._torn:
            line, sent = b"\n" + line, 0
        elif self._at_once is not None and not sent:
            with contextlib.suppress(BlockingIOError):
                sent = self._at_once(line)
        return sent == len(line) or self._write_rest(line, sent, wait, clock)

    def _write_rest(self, line: bytes, sent: int, wait: float, clock: Clock) -> bool:
        self.put = None  # nobody else's line may come between
        room = select.poll()
        room.register(self._fd, select.POLLOUT)
        end = clock.monotonic() + wait
        left = wait
        while sent < len(line) and room.poll(max(left, 0.0) * 1_000):
            before = sent
            with contextlib.suppress(BlockingIOError):
                sent += os.write(self._fd, line[sent:])
            left = end - clock.monotonic()
            if left <= 0 and sent == before:
                break
        # A line that was left half written is ended before the next one begins.
        self._torn = 0 < sent < len(line) or (self._torn and sent == 0)
        if not self._torn:
            self.put = self._at_once
        return sent == len(line)

    def __del__(self) -> None:
        if self._owned:
            with contextlib.suppress(OSError):
                os.close(self._fd)


class TextStream:
    """A stream without a descriptor: a StringIO, a test's captured output."""

    put: Callable[[bytes], int] | None = None

    def __init__(self, stream: IO[str], limit: int) -> None:
        self._stream = stream
        self.limit = limit

    def write(self, line: bytes, sent: int, wait: float, clock: Clock) -> bool:
        """Write a line."""
        self._stream.write(line.decode())
        self._stream.flush()
        return True


def open_target(stream: Any, pipe_limit: int = PIPE_LIMIT, limit: int = LIMIT) -> Target:
    """Return how to write to a stream, by what it is.

    A pipe is opened a second time where the system lets us, so that only our
    own writes do not block: its flags are shared with the parent process and
    with everything that prints. Where it cannot be, and for a terminal or a
    socket, room is polled for before each write.

    Raises:
        OSError, ValueError: The stream is closed.
    """
    try:
        fd = stream.fileno()
    except (AttributeError, OSError):
        if stream is None:
            raise OSError("there is no stream to write to") from None
        return TextStream(stream, limit)
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode):
        try:
            own = os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return Descriptor(fd, pipe_limit, polls=True, owned=False)
        return Descriptor(own, pipe_limit, polls=False, owned=True)
    return Descriptor(fd, limit, polls=stat.S_ISSOCK(mode) or os.isatty(fd), owned=False)
