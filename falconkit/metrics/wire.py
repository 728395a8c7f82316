"""The way of lines to a daemon that takes datagrams, whatever their dialect."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable
from typing import Final

from falconkit.clock import Clock
from falconkit.errors import ConfigurationError, UpstreamUnavailable
from falconkit.metrics.datagrams import Batch, Client
from falconkit.metrics.lookup import Address, UnixPath

LONGEST_VALUE: Final = 360
"""Bytes of a line besides prefix, name and tags: the largest float has 309 digits."""

_LOG = logging.getLogger("falconkit.metrics")
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]")
_UNIX = "unix://"
_LONGEST_PATH = 107


class Wire:
    """Sends batches of lines in datagrams, and says when they did not go.

    Attributes:
        host: A name, an address or ``unix:///path``; None or ``""``: nothing is sent.
        size: No datagram has so many bytes.
        prefix: Before every name, without its dot.
    """

    def __init__(
        self,
        host: str | None,
        port: int,
        prefix: str,
        *,
        size: int | None,
        clock: Clock,
        setting: str,
        upstream: str,
    ) -> None:
        """Check what is given. Nothing is looked up or opened before the first `send`.

        Args:
            host: See above.
            port: The UDP port.
            prefix: Put before every name, with a dot.
            size: Of a datagram; when None 1432, which fits Ethernet, and 8192 on a Unix socket.
            clock: What time is read from.
            setting: How the settings are called in what is said of them, as in ``STATSD``.
            upstream: Whom an error is about.

        Raises:
            ConfigurationError: A value cannot be used.
        """
        self._path = host.removeprefix(_UNIX) if host and host.startswith(_UNIX) else ""
        size = (8192 if self._path else 1432) if size is None else size
        prefix = prefix.rstrip(".")
        if not 1 <= port <= 65535:
            raise ConfigurationError(f"{setting}_PORT is from 1 to 65535, got {port}")
        if len(prefix) > 64 or _UNFIT.search(prefix):
            raise ConfigurationError(
                f"{setting}_PREFIX is at most 64 letters, digits, '_', '-' and '.', "
                f"got {prefix!r:.200}"
            )
        if not 512 <= size <= 65507:
            raise ConfigurationError(f"give 512 <= datagram <= 65507, got {size}")
        if len(os.fsencode(self._path)) > _LONGEST_PATH:
            raise ConfigurationError(
                f"a Unix socket's path has at most {_LONGEST_PATH} bytes, got {self._path!r:.300}"
            )
        self.host, self.size, self.prefix = host, size, prefix
        self._setting, self._upstream = setting, upstream
        self._port, self._clock = port, clock
        self._finder = (
            UnixPath(self._path)
            if self._path
            else Address(host or "", port, clock, setting=f"{setting}_HOST", upstream=upstream)
        )
        self._client: Client | None = None
        self._anew = False

    def send(self, write: Callable[[Batch], None]) -> None:
        """Send what ``write`` writes; what the socket takes only in part is completed next time.

        Raises:
            UpstreamUnavailable: Nothing was sent.
        """
        if not self.host:
            return
        client = self._connected()
        went = client.went
        if client.again():
            with client.pipeline() as batch:
                write(batch)
            if not client.unsent:
                return
            if client.went > went:
                return  # The rest is kept in the client, and goes first next time.
            client.unsent.clear()
        # A Unix socket that was made anew has the same path, and is another one.
        self._anew = bool(self._path)
        raise self._away("nobody listens, or the socket is full")

    def close(self) -> None:
        """Close the socket."""
        client, self._client = self._client, None
        if client is not None:
            if client.unsent:
                _LOG.warning("%d datagrams of metrics could not be sent", len(client.unsent))
            client.close()

    def _connected(self) -> Client:
        target = self._finder.find()
        old = self._client
        if old is not None and old.pid != os.getpid():
            # Left by a fork: what the parent has not sent is the parent's to send.
            old.close()
            old = None
        if old is not None and old.target == target and not self._anew:
            return old
        try:
            new = Client(target, self.prefix, self.size, self._clock)
        except OSError as ex:
            raise self._away(str(ex)) from ex
        if old is not None:
            new.unsent = old.unsent
            old.close()
        self._client, self._anew = new, False
        return new

    def _away(self, cause: str) -> UpstreamUnavailable:
        port = "" if self._path else f", port {self._port}"
        return UpstreamUnavailable(
            f"{self._setting}_HOST={self.host!r}{port}: {cause}", upstream=self._upstream
        )
