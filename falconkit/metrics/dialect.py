"""What the dialects of StatsD have in common: all but how a line is written."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypedDict

from falconkit.clock import Clock
from falconkit.errors import ConfigurationError
from falconkit.metrics.datagrams import Batch
from falconkit.metrics.sample import Sample
from falconkit.metrics.wire import LONGEST_VALUE, Wire


class Sending(TypedDict):
    """How a dialect sends: what `Dialect` takes besides the place."""

    interval: float
    values: int
    datagram: int | None
    clock: Clock
    setting: str


class Dialect(ABC):
    """A backend that sends lines in datagrams; a dialect writes them.

    Attributes:
        name: For the log line and the event when it fails.
        interval: Seconds between two sends.
    """

    name: str

    def __init__(
        self,
        host: str | None,
        port: int,
        prefix: str,
        *,
        interval: float,
        values: int,
        datagram: int | None,
        clock: Clock,
        setting: str,
    ) -> None:
        """Say where to send. Nothing is looked up or opened before the first `send`.

        Raises:
            ConfigurationError: A value cannot be used.
        """
        if not (interval > 0 and values >= 1):
            raise ConfigurationError(
                f"give interval > 0 and values >= 1, got {interval} and {values}"
            )
        self.interval = interval
        self._values = values
        self._wire = Wire(
            host, port, prefix, size=datagram, clock=clock, setting=setting, upstream=self.name
        )
        # Bytes that a line's name and tags may have.
        self._room = self._wire.size - len(self._wire.prefix) - LONGEST_VALUE

    @property
    def host(self) -> str | None:
        """Where it sends to."""
        return self._wire.host

    def send(self, samples: Sequence[Sample], /) -> None:
        """Send what was counted; what the socket takes only in part is completed next time.

        Raises:
            UpstreamUnavailable: Nothing was sent.
        """
        self._wire.send(lambda batch: self._write(batch, samples))

    def close(self) -> None:
        """Close the socket."""
        self._wire.close()

    @abstractmethod
    def _write(self, batch: Batch, samples: Sequence[Sample]) -> None:
        """Write the lines of ``samples``."""
