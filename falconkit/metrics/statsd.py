"""Send metrics to a StatsD daemon, through the ``statsd`` package's pipeline."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

from falconkit.clock import Clock, system_clock
from falconkit.metrics.datagrams import Batch, Plain
from falconkit.metrics.dialect import Dialect
from falconkit.metrics.distribution import Distribution
from falconkit.metrics.sample import Labels, Sample, SeriesKey, summed
from falconkit.metrics.timings import timings

NameOf = Callable[[str, Labels], Iterable[str]]
"""The rule by which labels reach StatsD: the names under which one series is counted."""

_UNFIT = re.compile(r"[^A-Za-z0-9_.-]")


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


class StatsD(Dialect):
    """A backend that sends to a StatsD daemon, for `Metrics.add_backend`.

    Counters go as ``|c``, gauges as ``|g``, histograms as ``|ms`` timings: at most
    ``values`` of them an interval, whose sample rates add up to what was observed.
    The name is looked up by the flush thread, again when its TTL or a minute is over; a daemon
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
        super().__init__(
            host,
            port,
            prefix,
            interval=interval,
            values=values,
            datagram=datagram,
            clock=clock,
            setting="STATSD",
        )
        self._name_of = name_of
        self._keys = lru_cache(maxsize=65536)(self._keys_of)

    @property
    def prefix(self) -> str:
        """What stands before every name, without its dot."""
        return self._wire.prefix

    def names(self, name: str, labels: Labels) -> list[str]:
        """Return the names under which a series is counted, the prefix left out.

        >>> StatsD("127.0.0.1").names("request.seconds", (("endpoint", "add"),))
        ['request.seconds', 'request.seconds.add']
        """
        return list(dict.fromkeys(self._fit(each) for each in self._name_of(name, labels)))

    def _write(self, batch: Batch, samples: Sequence[Sample]) -> None:
        for each in self._renamed(samples):
            write(batch, each.name, each, self._values)

    def _renamed(self, samples: Sequence[Sample]) -> Iterable[Sample]:
        """Count each series under every name that the rule gives it."""
        named = ((key, each.value) for each in samples for key in self._keys(each.key))
        return summed(named).values()

    def _keys_of(self, key: SeriesKey) -> list[SeriesKey]:
        names = self.names(key.name, key.labels)
        return [key._replace(name=name, labels=()) for name in names]

    def _fit(self, name: str) -> str:
        return _UNFIT.sub("_", name)[: self._room] or "_"


def write(batch: Batch, name: str, sample: Sample, values: int) -> None:
    """Write one series as StatsD's lines.

    Args:
        batch: Where to.
        name: The series' name.
        sample: What it amounts to.
        values: Timings of a histogram, at most.
    """
    # PERF: 0.4 us a line, of which there are 2,000 for 1,000 series; by the package's own timing
    # and incr, which format and look for a rate each time, 0.6.
    value = sample.value
    if isinstance(value, Distribution):
        scale = 1000.0 if sample.key.unit == "s" else 1.0
        for size, stands_for in timings(value, values):
            batch.line(f"{name}:{_size(size * scale)}|ms{_rate(stands_for)}")
    elif sample.kind == "gauge":
        batch.signed(name, value)
    elif value:
        batch.line(f"{name}:{Plain(value)!s}|c")


@lru_cache(maxsize=4096)
def _size(size: float) -> str:
    """Write one of a histogram's values, of which there are few thousand."""
    return f"{size:.6f}"


@lru_cache(maxsize=1024)
def _rate(stands_for: int) -> str:
    return "" if stands_for == 1 else f"|@{Plain(1 / stands_for)}"
