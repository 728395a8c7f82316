"""One connection to a registry that speaks HTTP and JSON."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from falconkit.errors import ConfigurationError
from falconkit.sd.stop import Stop

_LARGEST = 32 << 20
_LONGEST_LINE = 4 << 20
_LONGEST = 30.0
"""Seconds that a whole answer may take, beyond those until it begins: one that drips is lost."""


class Answer(NamedTuple):
    """What a registry answered.

    Attributes:
        status: The HTTP status.
        headers: The headers; names in any case.
        body: The bytes, 32 MiB at most.
    """

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        """Return the body's JSON.

        Raises:
            OSError: The registry refused, or it is no JSON.
        """
        if self.status >= 300:
            raise OSError(f"the registry answered {self.status}: {self.body[:200]!r}")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise OSError(f"the registry's answer is no JSON: {error}") from error


class Wire:
    """Asks a registry, over one connection that is kept; one thread at a time uses it.

    Opens nothing until it is used. A server that does not answer makes the next
    question go to the next one.

    >>> Wire(["http://etcd-1:2379", "http://etcd-2:2379"])
    Wire('http://etcd-1:2379', 'http://etcd-2:2379')

    Args:
        urls: The registry's URL, or those of its servers.
        headers: Sent with every question.
        timeout: Seconds to connect, and for each wait for an answer's bytes.
        tls: TLS settings; the system's certificates when None.
        stop: Breaks whatever is waited for when it is set.

    Raises:
        ConfigurationError: A URL cannot be used.
    """

    def __init__(
        self,
        urls: str | Sequence[str],
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 2.0,
        tls: ssl.SSLContext | None = None,
        stop: Stop | None = None,
    ) -> None:
        self._servers = [_server(url) for url in ([urls] if isinstance(urls, str) else urls)]
        if not self._servers or not 0 < timeout <= 600:
            raise ConfigurationError(
                f"give a registry's URL, and a timeout of over 0 to 600 s: {urls!r}, {timeout!r}"
            )
        self._headers = {"Accept": "application/json", **(headers or {})}
        self._timeout, self._tls = timeout, tls
        self._stop = Stop() if stop is None else stop
        self._connection: http.client.HTTPConnection | None = None
        self._late = False

    def ask(self, method: str, path: str, body: object = None, *, wait: float = 0.0) -> Answer:
        """Ask, and return the whole answer, whatever its status.

        Args:
            method: The HTTP method.
            path: Path and query.
            body: Sent as JSON; nothing when None.
            wait: Seconds that the registry may take beyond the timeout.

        Raises:
            OSError: No answer came.
        """
        with self._stop.waking(self.abort), self._within(self._timeout + wait + _LONGEST):
            response = self._send(method, path, body, wait)
            try:
                content = response.read(_LARGEST + 1)
            except (OSError, http.client.HTTPException) as error:
                raise self._lost(error) from error
            if self._late or (response.length and len(content) <= _LARGEST):
                raise self._lost(OSError(f"the answer broke off after {len(content)} bytes"))
            if len(content) > _LARGEST:
                raise self._lost(ValueError(f"over {_LARGEST} bytes"))
            return Answer(response.status, response.headers, content)

    def lines(self, method: str, path: str, body: object, *, wait: float) -> Iterator[bytes]:
        """Ask, and yield the answer's lines as they come, until ``wait`` seconds bring none.

        Raises:
            OSError: The answer is an error, or has ended.
        """
        with self._stop.waking(self.abort):
            response = self._send(method, path, body, wait)
            if response.status >= 300:
                raise self._lost(OSError(f"{response.status} {response.read(200)!r}"))
            while not self._stop:
                try:
                    line = response.readline(_LONGEST_LINE + 1)
                except TimeoutError:
                    self.close()
                    return
                except (OSError, http.client.HTTPException) as error:
                    raise self._lost(error) from error
                if not line or len(line) > _LONGEST_LINE:
                    raise self._lost(ValueError("the answer ended" if not line else "over 4 MiB"))
                yield line

    @contextmanager
    def _within(self, seconds: float) -> Iterator[None]:
        # The socket's own time-out begins anew with each byte.
        def end() -> None:
            self._late = True
            self.abort()

        self._late = False
        late = threading.Timer(seconds, end)
        late.daemon = True
        late.start()
        try:
            yield
        finally:
            late.cancel()
            late.join()

    def abort(self) -> None:
        """Break whatever another thread waits for in this connection."""
        connection = self._connection
        sock = None if connection is None else connection.sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _send(self, method: str, path: str, body: object, wait: float) -> http.client.HTTPResponse:
        for kept in (self._connection is not None, False):
            try:
                return self._try(method, path, body, wait)
            except (OSError, http.client.HTTPException) as error:
                failure = self._lost(error)
                # A kept connection may have ended since; a time-out is no such end.
                if not kept or self._late or isinstance(error, TimeoutError):
                    raise failure from error
        raise AssertionError("unreachable")

    def _try(self, method: str, path: str, body: object, wait: float) -> http.client.HTTPResponse:
        server = self._servers[0]
        if self._connection is None:
            self._connection = self._open(server)
            self._connection.connect()
            if self._stop:
                raise OSError("it was told to stop")
        connection = self._connection
        connection.sock.settimeout(self._timeout + wait)
        headers = dict(self._headers)
        raw = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            raw = json.dumps(body).encode()
        connection.request(method, server.path.rstrip("/") + path, raw, headers)
        return connection.getresponse()

    def _open(self, server: SplitResult) -> http.client.HTTPConnection:
        host = str(server.hostname)
        if server.scheme == "http":
            return http.client.HTTPConnection(host, server.port, timeout=self._timeout)
        tls = self._tls or ssl.create_default_context()
        return http.client.HTTPSConnection(host, server.port, timeout=self._timeout, context=tls)

    def _lost(self, error: Exception) -> OSError:
        self.close()
        server = self._servers.pop(0)
        self._servers.append(server)
        return OSError(f"{server.scheme}://{server.netloc}: {type(error).__name__}: {error}")

    def __repr__(self) -> str:
        return (
            f"Wire({', '.join(repr(f'{each.scheme}://{each.netloc}') for each in self._servers)})"
        )


def _server(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError as error:
        raise ConfigurationError(f"the URL {url!r} cannot be read: {error}") from error
    if not usable or parts.username is not None or parts.query or parts.fragment:
        raise ConfigurationError(f"a registry's URL is as in http://10.0.0.1:2379, got {url!r}")
    return parts
