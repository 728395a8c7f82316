"""An answer over a socket that is there in time, whole, or is given up."""

from __future__ import annotations

import http.client
import io
import math
import socket
from typing import TYPE_CHECKING, Any, cast

from falconkit.clock import system_clock

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class Timed(io.RawIOBase):
    """Reads one answer; what is left of its time is the timeout of each ``recv``.

    A socket's own timeout begins anew with each byte, so that a server which
    sends one now and then would hold a thread for ever.

    >>> ours, theirs = socket.socketpair()
    >>> with ours, theirs:
    ...     theirs.sendall(b"half a li")
    ...     ours.settimeout(60.0)
    ...     timed = Timed(ours, until=system_clock.monotonic())
    ...     timed.makefile("rb").readline()
    Traceback (most recent call last):
    TimeoutError: timed out
    >>> timed.close()

    Attributes:
        until: When it has to be there, in the system's monotonic seconds.
        came: Bytes of the last ``recv``: 0 when the connection has ended, -1 before the first.

    Args:
        sock: Its timeout is that of each wait for bytes.
        until: See above. When None the socket's timeout from now on.
    """

    def __init__(self, sock: socket.socket, until: float | None = None) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)  # keeps the socket open until this is closed
        timeout = sock.gettimeout()
        self._pause = math.inf if timeout is None else timeout
        self.until = system_clock.monotonic() + self._pause if until is None else until
        self.came = -1

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        """Return itself, buffered: ``http.client`` asks a socket for it."""
        return io.BufferedReader(self)

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read what there is, at least a byte unless the connection has ended.

        Raises:
            TimeoutError: The time is over.
        """
        if self.until != math.inf:
            left = self.until - system_clock.monotonic()
            if left <= 0:
                raise TimeoutError("timed out")
            self._sock.settimeout(min(left, self._pause))
        self.came = self._sock.recv_into(buffer)
        return self.came

    def close(self) -> None:
        """Let the socket go."""
        if not self.closed:
            super().close()
            self._raw.close()


class TimedAnswer(http.client.HTTPResponse):
    """An answer that is whole within its socket's timeout, or raises `TimeoutError`.

    The ``response_class`` of a connection of ``http.client``, and so of urllib3's.

    Attributes:
        timed: What it is read from.
    """

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        """Begin its time."""
        self.timed = Timed(sock)
        super().__init__(cast(socket.socket, self.timed), *args, **options)
