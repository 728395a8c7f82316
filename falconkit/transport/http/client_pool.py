"""Connections to the services we call: opened on first use, never shared over a fork."""

from __future__ import annotations

import http.client
import os
import re
import ssl
from typing import Any, NamedTuple

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ClosedPoolError, NewConnectionError
from urllib3.util import SKIP_HEADER

from falconkit.errors import ConfigurationError
from falconkit.timed import TimedAnswer
from falconkit.transport.http.client_head import begin

_AT_ONCE = 65536
# A token, and a value of one byte a character, without a line's end (RFC 9110, 5.5 and 5.6.2).
_PLAIN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+: [^\r\n\0\u0100-\U0010ffff]*").fullmatch


class Origin(NamedTuple):
    """Where a service answers.

    Attributes:
        scheme: ``http`` or ``https``.
        host: A name or an address, IPv6 in brackets.
        port: The port.
    """

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"


class Pool:
    """Connections kept alive between calls; clients of one service share one.

    Opens nothing until the first call, and a process forked later opens its
    own. Never waits: a call that finds no idle connection makes one, so
    ``size`` bounds what is kept and not what is in use.

    >>> pool = Pool(size=4)
    >>> pool.close()

    Args:
        size: How many idle connections to one origin are kept.
        tls: The TLS settings; the default verifies the server by the system's certificates.

    Raises:
        ConfigurationError: ``size`` is less than 1.
    """

    def __init__(self, *, size: int = 32, tls: ssl.SSLContext | None = None) -> None:
        if size < 1:
            raise ConfigurationError(f"a pool keeps at least 1 connection, got size={size!r}")
        self._size = size
        self._tls = tls
        self._closed = False
        self._open: dict[tuple[int, Origin], HTTPConnectionPool] = {}

    def at(self, origin: Origin) -> HTTPConnectionPool:
        """Return this process's connections to ``origin``.

        Raises:
            urllib3.exceptions.ClosedPoolError: After `close`.
        """
        # PERF: getpid 0.05 us; a fork hook would have to outlive every pool that discovery makes.
        place = (os.getpid(), origin)
        found = self._open.get(place)
        return self._make(place) if found is None else found

    def _make(self, place: tuple[int, Origin]) -> HTTPConnectionPool:
        pid, (scheme, host, port) = place
        made: HTTPConnectionPool
        if scheme == "https":
            tls = self._tls or ssl.create_default_context()
            made = HTTPSConnectionPool(host, port, maxsize=self._size, ssl_context=tls)
            made.ConnectionCls = _TimedHTTPS
        else:
            made = HTTPConnectionPool(host, port, maxsize=self._size)
            made.ConnectionCls = _TimedHTTP
        for inherited in [each for each in list(self._open) if each[0] != pid]:
            # Closes this process's copies of the parent's sockets; the parent's stay open.
            self._open.pop(inherited).close()
        made = self._open.setdefault(place, made)
        if self._closed:
            made.close()
            raise ClosedPoolError(made, "this client is closed")
        return made

    def close(self) -> None:
        """Close what is idle now, and what is in use when its call ends. Later calls fail."""
        self._closed = True
        for place in list(self._open):
            self._open.pop(place).close()


class _Answer(TimedAnswer):
    def begin(self) -> None:
        begin(self)
        while 101 < self.status < 200:
            # An interim answer (RFC 9110, 15.2), of which the standard library
            # skips 100 only. Taken for the answer, it would leave the real one
            # in the connection, for the next call to find.
            self.headers = self.msg = None  # type: ignore[assignment]
            begin(self)
        if self.status == 101:
            raise http.client.UnknownProtocol("a switch that was not asked for")
        if self.timed.came == 0:
            # The standard library takes a connection that ends for the end of
            # the headers: an answer cut off there would be an empty success.
            raise http.client.IncompleteRead(b"")


class _OneSend:
    """Writes a request's head in one go, and sends it with the body, if they are not long.

    PERF: urllib3 sends one after the other, so that the peer is woken for half a
    request; 3 us of a call over loopback.
    """

    _held: list[bytes] | None = None

    def putheader(self, header: Any, *values: Any) -> None:
        # PERF: 13 us less a call, of eight headers. Urllib3 and the library beneath each
        # look name and value over piece by piece; what is not plainly right is theirs to judge.
        if len(values) == 1 and type(header) is type(values[0]) is str:
            line = f"{header}: {values[0]}"
            if _PLAIN(line) and ":" not in header and values[0] != SKIP_HEADER:
                self._output(line.encode("latin-1"))  # type: ignore[attr-defined]
                return
        super().putheader(header, *values)  # type: ignore[misc]

    def request(self, *args: Any, **options: Any) -> None:
        held: list[bytes] = []
        self._held = held
        try:
            super().request(*args, **options)  # type: ignore[misc]
        finally:
            self._held = None
        for each in held if sum(map(len, held)) > _AT_ONCE else (b"".join(held),):
            self.send(each)

    def send(self, data: Any) -> None:
        if self._held is None:
            super().send(data)  # type: ignore[misc]
        else:
            self._held.append(data)


class _TimedHTTP(_OneSend, HTTPConnection):
    response_class = _Answer


class _TimedHTTPS(_OneSend, HTTPSConnection):
    response_class = _Answer

    def connect(self) -> None:
        # A handshake that fails is a service that cannot be reached; as an
        # SSLError it could not be told from an answer lost half-way.
        try:
            super().connect()
        except (OSError, ValueError) as error:
            raise NewConnectionError(self, f"TLS: {error}") from error
