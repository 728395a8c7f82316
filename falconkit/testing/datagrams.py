"""A receiver of datagrams for tests, on UDP or a Unix socket."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections.abc import Callable
from typing import Self, TypeVar

from falconkit.testing.wait import wait_until

T = TypeVar("T")


class DatagramSink:
    """Keeps every datagram that it is sent.

    >>> with DatagramSink() as sink:
    ...     sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ...     _ = sender.sendto(b"hits:2|c", ("127.0.0.1", sink.port))
    ...     sender.close()
    ...     sink.datagrams()
    [b'hits:2|c']

    Attributes:
        port: Where it listens; 0 on a Unix socket.
    """

    def __init__(self, port: int = 0, *, path: str | os.PathLike[str] | None = None) -> None:
        """Listen.

        Args:
            port: Of 127.0.0.1; 0 takes a free one.
            path: A Unix socket to make instead.
        """
        family = socket.AF_INET if path is None else socket.AF_UNIX
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._socket.bind(("127.0.0.1", port) if path is None else os.fspath(path))
        self._socket.setblocking(False)
        self.port: int = self._socket.getsockname()[1] if path is None else 0
        self._lock = threading.Lock()
        self._datagrams: list[bytes] = []
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="datagram-sink", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening. What was received can still be read."""
        self._closed = True
        self._thread.join()
        self._drain()
        self._socket.close()

    def datagrams(self) -> list[bytes]:
        """Return every datagram so far; what a local sender has sent is among them."""
        if not self._closed:
            self._drain()
        with self._lock:
            return list(self._datagrams)

    def wait_for(self, predicate: Callable[[Self], T], timeout: float = 60.0) -> T:
        """Wait until ``predicate`` of this sink is true, and return it.

        Raises:
            AssertionError: It was not within ``timeout`` seconds.
        """
        return wait_until(lambda: predicate(self), timeout, what="the sink's data")

    def _run(self) -> None:
        while not self._closed:
            if select.select([self._socket], [], [], 0.05)[0]:
                self._drain()

    def _drain(self) -> None:
        with self._lock:
            while True:
                try:
                    self._datagrams.append(self._socket.recv(65535))
                except BlockingIOError:
                    return
