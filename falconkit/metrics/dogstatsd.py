"""Send metrics to Datadog's agent, with tags, over UDP or a Unix socket."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, Literal

from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError
from falconkit.metrics.datagrams import Batch, Plain
from falconkit.metrics.distribution import Distribution
from falconkit.metrics.sample import Labels, Sample
from falconkit.metrics.tagged_dialect import TaggedDialect
from falconkit.metrics.timings import timings

HistogramAs = Literal["d", "h", "ms"]

_UNFIT: Final = re.compile(r"[,|#\s]")


class DogStatsD(TaggedDialect):
    """A backend that sends to Datadog's agent, for `Metrics.add_backend`.

    Labels are tags. Counters go as ``|c``, gauges as ``|g`` (negative ones as they are: this
    dialect has no changes), histograms as ``|d``, ``|h`` or ``|ms``, in the unit that was
    observed but for ``ms``: at most ``values`` of them an interval, whose sample rates
    add up to what was observed. All else is as with `falconkit.metrics.statsd.StatsD`.

    >>> DogStatsD("unix:///var/run/datadog/dsd.socket", tags={"env": "prod"}).interval
    1.0
    """

    name = "dogstatsd"

    def __init__(
        self,
        host: str | None,
        port: int = 8125,
        prefix: str = "",
        *,
        tags: Mapping[str, str] | None = None,
        histogram: HistogramAs = "d",
        interval: float = 1.0,
        values: int = 100,
        datagram: int | None = None,
        clock: Clock = system_clock,
    ) -> None:
        """Say where to send. Nothing is looked up or opened before the first `send`.

        Args:
            host: A name, an address or ``unix:///path``; None or ``""``: nothing is sent.
            port: Its UDP port.
            prefix: Put before every name, with a dot.
            tags: Stand on every series, before its own.
            histogram: ``d`` is a distribution, whose quantiles Datadog takes over all
                hosts; ``h`` a histogram, ``ms`` a timing, whose quantiles are its host's.
            interval: Seconds between two sends.
            values: Values of one histogram in one interval, at most.
            datagram: No datagram has so many bytes; when None 1432, which fits Ethernet, and
                8192, what the agent reads at once, on a Unix socket.
            clock: What time is read from.

        Raises:
            ConfigurationError: A value cannot be used.
        """
        if histogram not in ("d", "h", "ms"):
            raise ConfigurationError(f"histogram is 'd', 'h' or 'ms', got {histogram!r}")
        super().__init__(
            host,
            port,
            prefix,
            tags=tags,
            unfit=_UNFIT,
            interval=interval,
            values=values,
            datagram=datagram,
            clock=clock,
            setting="DOGSTATSD",
        )
        self._histogram = histogram
        self._text = lru_cache(maxsize=65536)(self._text_of)

    def _write_fitted(self, batch: Batch, samples: Sequence[Sample]) -> None:
        for each in samples:
            name, value, tags = each.name, each.value, self._text(each.labels)
            if isinstance(value, Distribution):
                scale = 1000.0 if self._histogram == "ms" and each.key.unit == "s" else 1.0
                for size, stands_for in timings(value, self._values):
                    rate = "" if stands_for == 1 else f"|@{Plain(1 / stands_for)}"
                    batch.line(f"{name}:{_shown(size * scale)}|{self._histogram}{rate}{tags}")
            elif each.kind == "gauge":
                batch.line(f"{name}:{Plain(value)}|g{tags}")
            elif value:
                batch.line(f"{name}:{Plain(value)}|c{tags}")

    def _text_of(self, labels: Labels) -> str:
        tags = ",".join(f"{label}:{value}" for label, value in (*self._tags.constant, *labels))
        return f"|#{tags}" if tags else ""


@lru_cache(maxsize=4096)
def _shown(size: float) -> str:
    """Write one of a histogram's values, of which there are few thousand."""
    return str(Plain(float(f"{size:.6g}")))
