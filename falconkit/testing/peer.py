"""A service on a loopback socket that answers, or fails to, byte by byte as told."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

_PATIENCE = 10.0


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came.

    Attributes:
        method: Its method.
        target: Path and query, as sent.
        headers: Its headers; names in lower case, one that came twice joined by a comma.
        body: Its bytes.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


Reply = bytes | Callable[["Peer", socket.socket], None]
"""Bytes to send as they are, or what to do with the connection once the request is read."""


def answer(status: int = 200, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    r"""Return an HTTP/1.1 answer as bytes, with its Content-Length.

    >>> answer(200, b"1")
    b'HTTP/1.1 200 Told\r\nContent-Length: 1\r\n\r\n1'
    """
    fields = {"Content-Length": str(len(body)), **(headers or {})}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status} Told\r\n{head}\r\n".encode("latin-1") + body


def hang_up(sent: bytes = b"") -> Reply:
    """Return a reply that sends ``sent`` and closes the connection."""

    def reply(peer: Peer, connection: socket.socket) -> None:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_RDWR)

    return reply


def reset() -> Reply:
    """Return a reply that ends the connection by RST, as a killed process does."""

    def reply(peer: Peer, connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionAbortedError  # what closes it is the end of `Peer._serve`

    return reply


def silence(sent: bytes = b"") -> Reply:
    """Return a reply that sends ``sent``, then nothing more until the peer is closed."""

    def reply(peer: Peer, connection: socket.socket) -> None:
        connection.sendall(sent)
        peer.closed.wait(_PATIENCE)

    return reply


def drip(sent: bytes, *, every: float = 0.01) -> Reply:
    """Return a reply that sends ``sent`` one byte at a time, one each ``every`` seconds."""

    def reply(peer: Peer, connection: socket.socket) -> None:
        for at in range(len(sent)):
            connection.sendall(sent[at : at + 1])
            if peer.closed.wait(every):
                return

    return reply


class Peer:
    r"""A service on 127.0.0.1 that gives each request the next of its replies.

    For what no well-behaved server does: answers that are lost half-way, late,
    garbage, or too large. It is a context manager, and closes what it opened.

    >>> import urllib.request
    >>> with Peer(answer(200, b"hello")) as peer:
    ...     urllib.request.urlopen(peer.url + "/x").read()
    ...     peer.requests[0].target
    b'hello'
    '/x'

    Attributes:
        requests: What was asked, in order.
        connections: How many connections were accepted.
        closed: Set when it closes; a reply that waits, waits on this.
    """

    def __init__(self, *replies: Reply, tls: ssl.SSLContext | None = None) -> None:
        """Listen at once; ``tls`` makes it speak https."""
        self._replies = deque(replies)
        self._tls = tls
        self._threads: list[threading.Thread] = []
        self._open: list[socket.socket] = []
        self.requests: list[Received] = []
        self.connections = 0
        self.closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._start(self._accept)

    @property
    def url(self) -> str:
        """Its address, as in ``http://127.0.0.1:40123``."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def close(self) -> None:
        """Close every connection and wait for the threads to end."""
        self.closed.set()
        for each in (self._listener, *self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_PATIENCE)
        self._listener.close()

    def _start(self, run: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=run, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with suppress(OSError):
            while not self.closed.is_set():
                connection, _ = self._listener.accept()
                self.connections += 1
                self._open.append(connection)
                self._start(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        # A client that leaves in the middle is what many a test is about.
        with connection, suppress(OSError):
            connection.settimeout(_PATIENCE)
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
            with connection, connection.makefile("rb") as stream:
                while (request := _read(stream)) is not None:
                    self.requests.append(request)
                    reply = self._replies.popleft() if self._replies else answer(500, b"no reply")
                    if isinstance(reply, bytes):
                        connection.sendall(reply)
                    else:
                        reply(self, connection)
                    if request.headers.get("connection") == "close":
                        break

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _read(stream: BinaryIO) -> Received | None:
    lines = list(iter(lambda: stream.readline().rstrip(b"\r\n").decode("latin-1"), ""))
    if not lines:
        return None
    method, target, _ = lines[0].split(" ")
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, value = line.split(":", 1)
        before = headers.get(name.lower())
        headers[name.lower()] = value.strip() if before is None else f"{before}, {value.strip()}"
    return Received(method, target, headers, stream.read(int(headers.get("content-length", 0))))
