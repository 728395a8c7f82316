"""Cuts off connections whose body takes too long, however busily it trickles."""

from __future__ import annotations

import os
import socket
import sys
import threading
import weakref
from contextlib import suppress

from falconkit.clock import Clock, system_clock

_IDLE_ROUNDS = 20
# struct tcp_info of linux/tcp.h: tcpi_last_data_recv, milliseconds, is at byte 52.
_TCP_INFO = getattr(socket, "TCP_INFO", 0) if sys.platform == "linux" else 0
if _TCP_INFO:
    import fcntl
    import termios


class Cutoff:
    """Shuts the reading side of a socket when the time for its body is over.

    A socket's own timeout counts anew at every byte, and one ``read`` of a
    server's body may wait for many: a client that sends a byte every 9 s would
    hold a thread for hours. So a thread of ours looks at the sockets that are
    being read; it starts with the first and ends when there was none for a while.

    Silence counts from the client's last byte, not from our first look: else a
    few rows of silent clients, each with its whole time, would keep everybody
    else out for minutes.

    Args:
        timeout: Seconds for a body; also the longest silence.
        tick: Seconds between two looks: how much too late a cut may come.
        clock: What tells the time.
    """

    def __init__(
        self, timeout: float = 10.0, *, tick: float = 0.25, clock: Clock = system_clock
    ) -> None:
        self.timeout = timeout
        self._tick = tick
        self._now = clock.monotonic
        self._reading: dict[int, tuple[float, socket.socket]] = {}
        self._forget()
        if hasattr(os, "register_at_fork"):
            ours = weakref.WeakMethod(self._forget)
            os.register_at_fork(after_in_child=lambda: (forget := ours()) and forget())

    def _forget(self) -> None:
        # In a forked child the thread is gone, and the sockets are the parent's.
        self._reading.clear()
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def guard(self, connection: socket.socket) -> None:
        """Give ``connection`` its time for a body, from now on.

        PERF: 0.2 us with `release`; a timeout on the socket itself, set and
        taken back, is 0.9, and does not bound what trickles.
        """
        self._reading[id(connection)] = (self._now() + self.timeout, connection)
        if self._thread is None:
            self._start()

    def release(self, connection: socket.socket) -> bool:
        """Leave ``connection`` alone from now on; False when it was cut off."""
        return self._reading.pop(id(connection), None) is not None

    def sweep(self) -> None:
        """Cut off what is over its time."""
        now = self._now()
        for deadline, connection in list(self._reading.values()):
            if (now >= deadline or silence(connection) >= self.timeout) and self.release(
                connection
            ):
                cut(connection)

    def close(self) -> None:
        """Stop the thread. The next `guard` starts one again."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._stop.set()
        if thread is not None and thread.is_alive():
            thread.join(timeout=5 * self._tick)

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._stop = threading.Event()
                self._thread = threading.Thread(
                    target=self._run, args=(self._stop,), name="falconkit-cutoff", daemon=True
                )
                self._thread.start()

    def _run(self, stop: threading.Event) -> None:
        idle = 0
        while not stop.wait(self._tick):
            self.sweep()
            idle = 0 if self._reading else idle + 1
            if idle > _IDLE_ROUNDS:
                with self._lock:
                    # A guard that came since then has seen this thread, and counts on it.
                    if not self._reading and not stop.is_set():
                        self._thread = None
                        return


def silence(connection: socket.socket) -> float:
    """Return how many seconds ago the last byte came, 0.0 where nobody can tell.

    Bytes that wait to be read do not count as silence: the window of a large
    body may be full of them. Linux tells it, of TCP.
    """
    if not _TCP_INFO:
        return 0.0
    try:
        info = socket.socket.getsockopt(connection, socket.IPPROTO_TCP, _TCP_INFO, 56)
        # Not a recv that peeks: on a socket with a timeout it would wait.
        waiting = fcntl.ioctl(connection.fileno(), termios.FIONREAD, bytes(4))
    except (OSError, ValueError):
        return 0.0
    return 0.0 if any(waiting) else int.from_bytes(info[52:56], sys.byteorder) / 1000


def cut(connection: socket.socket) -> None:
    """Let nobody wait for more bytes of ``connection``; what we send still goes out.

    The server's lingering close, too, then ends at once.
    """
    with suppress(OSError):
        # Of socket itself: SSLSocket's own would end the encryption, and the
        # answer would go out in the clear.
        socket.socket.shutdown(connection, socket.SHUT_RD)
