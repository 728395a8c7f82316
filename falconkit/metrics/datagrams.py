"""The ``statsd`` package's client, made to tell what it could not send."""

from __future__ import annotations

import os
import socket
from decimal import Decimal

from statsd import StatsClient
from statsd.client.udp import Pipeline

from falconkit.clock import Clock
from falconkit.metrics.lookup import Target

_AT_ONCE = 32
_PAUSE = 0.001


class Client(StatsClient):  # type: ignore[misc]
    """Sends what fits, and keeps what the socket did not take, to be sent first next time.

    Attributes:
        unsent: Whole datagrams.
        went: How many datagrams were sent.
        target: Where it sends to.
        pid: The process that opened it.
    """

    def __init__(self, target: Target, prefix: str, size: int, clock: Clock) -> None:
        # The package's own looks a name up, and knows UDP only.
        self._prefix, self._maxudpsize = prefix or None, size
        self._sock = socket.socket(target.family, socket.SOCK_DGRAM)
        try:
            # Connected, a socket hears that nobody listens; and it never waits.
            self._sock.connect(target.address)
            self._sock.setblocking(False)
        except OSError:
            self._sock.close()
            raise
        self._clock = clock
        self._tried = 0
        self.pid = os.getpid()
        self.went = 0
        self.target = target
        self.unsent: list[str] = []

    def pipeline(self) -> Batch:
        """Return a pipeline: its lines go out together, packed into datagrams."""
        return Batch(self)

    def _send(self, data: str) -> None:
        if self.unsent or not self._went(data):
            self.unsent.append(data)

    def again(self) -> bool:
        """Send what is unsent; return whether nothing is any more."""
        while self.unsent and self._went(self.unsent[0]):
            del self.unsent[0]
        return not self.unsent

    def _went(self, data: str) -> bool:
        self._tried += 1
        if self._tried % _AT_ONCE == 0:
            # A receiver's buffer holds some 90 datagrams; UDP drops the rest without a word.
            self._clock.sleep(_PAUSE)
        try:
            self._failure()  # of a datagram before, which is lost
            self._sock.send(data.encode("latin-1"))
        except OSError:
            return False
        # On this host the refusal of a port where nobody listens is back by now.
        if self._failure():
            return False
        self.went += 1
        return True

    def _failure(self) -> int:
        return int(self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))


class Batch(Pipeline):  # type: ignore[misc]
    """A pipeline of lines that are written already: the package's own draws lots at a rate."""

    def line(self, text: str) -> None:
        """Add a line that is written already, but for the prefix."""
        self._after(f"{self._prefix}.{_bytes(text)}" if self._prefix else _bytes(text))

    def signed(self, name: str, value: float) -> None:
        """Add a gauge of StatsD's, where a negative number alone would be a change."""
        self.gauge(_bytes(name), Plain(value))


def _bytes(text: str) -> str:
    # One character for each byte, so that the package counts bytes when it packs.
    return text if text.isascii() else text.encode().decode("latin-1")


class Plain(float):
    """A number that is written without an exponent, which daemons do not read everywhere.

    >>> f"{Plain(0.00001)} {Plain(3.0)} {Plain(-2.5)}"
    '0.00001 3 -2.5'
    """

    def __str__(self) -> str:
        if self.is_integer():
            return str(int(self))
        return f"{Decimal(repr(float(self))):f}"

    def __format__(self, spec: str) -> str:
        return str(self) if not spec else super().__format__(spec)
