"""One connection to a registry that speaks HTTP and JSON."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import SplitResult, urlsplit

from falconkit.clock import system_clock
from falconkit.errors import ConfigurationError
from falconkit.sd.connection import Connection
from falconkit.sd.stop import Stop
from falconkit.timed import Timed

_LARGEST = 32 << 20
_LONGEST_LINE = 4 << 20


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
        patience: Seconds that a whole answer may take beyond the timeout, connecting
            included: of a large set over a slow net. One that drips is lost then.
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
        patience: float = 30.0,
        tls: ssl.SSLContext | None = None,
        stop: Stop | None = None,
    ) -> None:
        self._servers = [_server(url) for url in ([urls] if isinstance(urls, str) else urls)]
        if not self._servers or not 0 < timeout <= 600:
            raise ConfigurationError(
                f"give a registry's URL, and a timeout of over 0 to 600 s: {urls!r}, {timeout!r}"
            )
        self._headers = {"Accept": "application/json", **(headers or {})}
        self._timeout, self._patience, self._tls = timeout, patience, tls
        self._stop = Stop() if stop is None else stop
        self._connection: Connection | None = None

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
        until = system_clock.monotonic() + self._timeout + wait + self._patience
        with self._stop.waking(self.abort), self._losing():
            response, _ = self._send(method, path, body, wait, until)
            with response:
                content = response.read(_LARGEST + 1)
                if len(content) > _LARGEST:
                    raise OSError(f"over {_LARGEST} bytes")
                if response.length:
                    raise OSError(f"the answer broke off after {len(content)} bytes")
            return Answer(response.status, response.headers, content)

    def lines(
        self, method: str, path: str, body: object, *, wait: float
    ) -> Generator[bytes, None, None]:
        """Ask, and yield the answer's lines as they come, until ``wait`` seconds bring none.

        Raises:
            OSError: The answer is an error, or has ended; or a line has not, in its time or
                within 4 MiB.
        """
        patience = self._timeout + wait
        with self._stop.waking(self.abort), self._losing():
            until = system_clock.monotonic() + patience
            response, connection = self._send(method, path, body, wait, until)
            try:
                with response:
                    yield from self._lines(response, connection.timed, patience)
            finally:
                self.close()  # what is left of it is on its way, or never comes

    def _lines(
        self, response: http.client.HTTPResponse, timed: Timed, patience: float
    ) -> Iterator[bytes]:
        if response.status >= 300:
            raise OSError(f"{response.status} {response.read(200)!r}")
        while not self._stop:
            # Each line has its time, which bytes of it do not lengthen.
            timed.until, timed.came = system_clock.monotonic() + patience, -1
            try:
                line = response.readline(_LONGEST_LINE + 1)
            except TimeoutError:
                if timed.came > 0:
                    raise
                return
            if not line or len(line) > _LONGEST_LINE:
                raise OSError("over 4 MiB without a line's end" if line else "the answer ended")
            yield line

    def abort(self) -> None:
        """Break whatever another thread waits for in this connection."""
        connection = self._connection
        if connection is not None:
            connection.cut()

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _send(
        self, method: str, path: str, body: object, wait: float, until: float
    ) -> tuple[http.client.HTTPResponse, Connection]:
        kept = self._connection
        try:
            return self._try(method, path, body, wait, until)
        except (OSError, http.client.HTTPException) as error:
            # A kept connection may have ended since; a time-out is no such end.
            if kept is None or kept.was_cut or isinstance(error, TimeoutError):
                raise
            self._lost(error)
        return self._try(method, path, body, wait, until)

    def _try(
        self, method: str, path: str, body: object, wait: float, until: float
    ) -> tuple[http.client.HTTPResponse, Connection]:
        server = self._servers[0]
        connection = self._connection
        if connection is None:
            connection = self._connection = self._open(server)
            if self._stop:  # set before there was anything to break
                raise OSError("it was told to stop")
            connection.connect()
        connection.until = until
        connection.sock.settimeout(self._timeout + wait)
        headers = dict(self._headers)
        raw = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            raw = json.dumps(body).encode()
        connection.request(method, server.path.rstrip("/") + path, raw, headers)
        return connection.getresponse(), connection

    def _open(self, server: SplitResult) -> Connection:
        host = str(server.hostname)
        if server.scheme == "http":
            return Connection(host, server.port or 80, timeout=self._timeout)
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return Connection(host, server.port or 443, timeout=self._timeout, tls=self._tls)

    @contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise self._lost(error) from error

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
