"""A connection whose every wait has an end, which another thread can set, too."""

from __future__ import annotations

import http.client
import socket
import ssl
from contextlib import suppress
from typing import Any, cast

from falconkit.clock import system_clock
from falconkit.timed import Timed


class Connection(http.client.HTTPConnection):
    """A connection to a registry, which another thread can cut while it connects or reads.

    What cannot be cut is the look-up of a name, which is the C library's: its own
    settings bound it.

    >>> Connection("etcd-1", 2379, timeout=2.0).cut()

    Attributes:
        until: When the next answer has to be there, in the system's monotonic seconds.
        timed: What the last answer is read from.
        was_cut: Whether it is of no more use, as somebody wanted.

    Args:
        host: A name or an address.
        port: The port.
        timeout: Seconds to connect, TLS and all addresses of the name together.
        tls: TLS settings; none is spoken when None.
    """

    timed: Timed

    def __init__(
        self, host: str, port: int, *, timeout: float, tls: ssl.SSLContext | None = None
    ) -> None:
        super().__init__(host, port, timeout=timeout)
        self._limit, self._tls = timeout, tls
        if tls is not None:
            self.default_port = http.client.HTTPS_PORT
        self.was_cut = False
        self.until = 0.0

    def response_class(self, sock: socket.socket, **options: Any) -> Any:  # type: ignore[override]
        """Return the next answer, which has to be there in time."""
        self.timed = Timed(sock, self.until)
        return http.client.HTTPResponse(cast(socket.socket, self.timed), **options)

    def getresponse(self) -> http.client.HTTPResponse:
        """Return the answer, as soon as its head is there.

        Raises:
            OSError: It did not come in time.
            http.client.HTTPException: It is none, or ended before its headers did, which the
                standard library takes for an answer without a body.
        """
        response = super().getresponse()
        if self.timed.came == 0:
            response.close()
            raise http.client.IncompleteRead(b"")
        return response

    def connect(self) -> None:
        """Connect, to the first of the name's addresses that takes it.

        Raises:
            OSError: None did in time, or it was cut.
        """
        until = system_clock.monotonic() + self._limit
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        while found:
            family, kind, protocol, _, address = found.pop(0)
            # One that never answers leaves the others their share of the time.
            share = (until - system_clock.monotonic()) / (len(found) + 1)
            try:
                self._reach(socket.socket(family, kind, protocol), address, share)
                break
            except OSError:
                self.close()
                if not found or self.was_cut:
                    raise
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls is not None:
            # At once the connection's, so that the handshake can be cut.
            self.sock = self._tls.wrap_socket(
                self.sock, server_hostname=self.host, do_handshake_on_connect=False
            )
            self._go_on(until - system_clock.monotonic())
            self.sock.do_handshake()

    def cut(self) -> None:
        """Break whatever another thread waits for in it, for good."""
        self.was_cut = True
        if self.sock is not None:
            with suppress(OSError):
                # Not SSLSocket's own, which takes the TLS away from under whoever reads.
                socket.socket.shutdown(self.sock, socket.SHUT_RDWR)

    def _reach(self, sock: socket.socket, address: Any, seconds: float) -> None:
        self.sock = sock
        self._go_on(seconds)
        sock.connect(address)
        self._go_on(self._limit)

    def _go_on(self, seconds: float) -> None:
        if self.was_cut:
            raise ConnectionAbortedError("it was told to stop")
        if seconds <= 0:
            raise TimeoutError("timed out")
        self.sock.settimeout(seconds)
