"""Send metrics to a StatsD daemon, through the ``statsd`` package's pipeline."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError, UpstreamUnavailable
from falconkit.metrics.datagrams import Address, Batch, Client, Plain
from falconkit.metrics.distribution import Distribution
from falconkit.metrics.sample import Labels, Sample, SeriesKey, merged
from falconkit.metrics.timings import timings

NameOf = Callable[[str, Labels], Iterable[str]]
"""The rule by which labels reach StatsD: the names under which one series is counted."""

_LOG = logging.getLogger("falconkit.metrics")
_UNFIT = re.compile(r"[^A-Za-z0-9_.-]")
_LONGEST_VALUE = 360
"""Bytes of a line besides prefix and name: the largest float has 309 digits."""


def dotted(name: str, labels: Labels) -> tuple[str, ...]:
    """Count a labelled series under the metric's name and under its own: the default rule.

    >>> dotted("request.count", (("endpoint", "add"), ("outcome", "ok")))
    ('request.count', 'request.count.add.ok')
    """
    if not labels:
        return (name,)
    # A value's own dots would make branches of the daemon's tree.
    parts = [_UNFIT.sub("_", value).replace(".", "_") for _, value in labels]
    return name, ".".join([name, *parts])


class StatsD:
    """A backend that sends to a StatsD daemon, for `Metrics.add_backend`.

    Counters go as ``|c``, gauges as ``|g``, histograms as ``|ms`` timings: at most
    ``values`` of them an interval, whose sample rates add up to what was observed.
    The name is looked up by the flush thread, again every minute; a daemon
    that is away costs a warning, and what it missed is sent when it is back, as far
    as its host tells that nobody listens.

    >>> StatsD("127.0.0.1", prefix="counter").interval
    1.0
    >>> StatsD("127.0.0.1", 0)
    Traceback (most recent call last):
    falconkit.errors.ConfigurationError: STATSD_PORT is from 1 to 65535, got 0
    """

    name = "statsd"

    def __init__(
        self,
        host: str | None,
        port: int = 8125,
        prefix: str = "",
        *,
        interval: float = 1.0,
        name_of: NameOf = dotted,
        values: int = 100,
        datagram: int = 1432,
        clock: Clock = system_clock,
    ) -> None:
        """Say where to send. Nothing is looked up or opened before the first `send`.

        Args:
            host: A name or an address; None or ``""``: nothing is sent.
            port: Its UDP port.
            prefix: Put before every name, with a dot.
            interval: Seconds between two sends.
            name_of: The rule by which labels become names.
            values: Timings of one histogram in one interval, at most.
            datagram: No datagram has so many bytes; 1432 fits Ethernet.
            clock: What time is read from.

        Raises:
            ConfigurationError: A value cannot be used.
        """
        prefix = prefix.rstrip(".")
        if not 1 <= port <= 65535:
            raise ConfigurationError(f"STATSD_PORT is from 1 to 65535, got {port}")
        if len(prefix) > 64 or _UNFIT.search(prefix):
            raise ConfigurationError(
                "STATSD_PREFIX is at most 64 letters, digits, '_', '-' and '.', "
                f"got {prefix!r:.200}"
            )
        if not (interval > 0 and values >= 1 and 512 <= datagram <= 65507):
            raise ConfigurationError(
                "give interval > 0, values >= 1 and 512 <= datagram <= 65507, "
                f"got {interval}, {values} and {datagram}"
            )
        self.host, self.interval = host, interval
        self._port, self._prefix, self._size = port, prefix, datagram
        self._name_of, self._values, self._clock = name_of, values, clock
        self._address = Address(host or "", port, clock)
        self._client: Client | None = None
        self._keys = lru_cache(maxsize=65536)(self._keys_of)
        self._longest_name = datagram - len(prefix) - _LONGEST_VALUE

    def send(self, samples: Sequence[Sample], /) -> None:
        """Send what was counted; what the socket takes only in part is completed next time.

        Raises:
            UpstreamUnavailable: Nothing was sent.
        """
        if not self.host:
            return
        client = self._connected()
        went = client.went
        if client.again():
            with client.pipeline() as batch:
                for sample in self._renamed(samples):
                    self._write(batch, sample)
            if not client.unsent:
                return
            if client.went > went:
                return  # The rest is kept in the client, and goes first next time.
            client.unsent.clear()
        raise self._away("nobody listens, or the socket is full")

    def close(self) -> None:
        """Close the socket."""
        client, self._client = self._client, None
        if client is not None:
            if client.unsent:
                _LOG.warning("%d datagrams of metrics could not be sent", len(client.unsent))
            client.close()

    def _renamed(self, samples: Sequence[Sample]) -> Iterable[Sample]:
        """Count each series under every name that the rule gives it."""
        named = (Sample(key, each.value) for each in samples for key in self._keys(each.key))
        return merged(named).values()

    def _keys_of(self, key: SeriesKey) -> list[SeriesKey]:
        names = dict.fromkeys(self._fit(name) for name in self._name_of(key.name, key.labels))
        return [key._replace(name=name, labels=()) for name in names]

    def _fit(self, name: str) -> str:
        return _UNFIT.sub("_", name)[: self._longest_name] or "_"

    def _write(self, batch: Batch, sample: Sample) -> None:
        name, value = sample.name, sample.value
        if isinstance(value, Distribution):
            scale = 1000.0 if sample.key.unit == "s" else 1.0
            for size, stands_for in timings(value, self._values):
                batch.timing(name, size * scale, 1 / stands_for)
        elif sample.kind == "gauge":
            batch.gauge(name, Plain(value))
        elif value:
            batch.incr(name, Plain(value))

    def _connected(self) -> Client:
        address = self._address.find()
        old = self._client
        if old is not None and old.pid != os.getpid():
            # Left by a fork: what the parent has not sent is the parent's to send.
            old.close()
            old = None
        if old is not None and old.address == address:
            return old
        try:
            new = Client(address, self._port, self._prefix, self._size, self._clock)
        except OSError as ex:
            raise self._away(str(ex)) from ex
        if old is not None:
            new.unsent = old.unsent
            old.close()
        self._client = new
        return new

    def _away(self, cause: str) -> UpstreamUnavailable:
        return UpstreamUnavailable(
            f"STATSD_HOST={self.host!r}, port {self._port}: {cause}", upstream=self.name
        )
