"""Send metrics to Telegraf's StatsD input, whose names have tags as InfluxDB's lines do."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from falconkit.clock import Clock, system_clock
from falconkit.metrics.datagrams import Batch
from falconkit.metrics.sample import Sample, SeriesKey
from falconkit.metrics.statsd import write
from falconkit.metrics.tagged_dialect import TaggedDialect

# Telegraf splits a line at its first colon, and the name at commas and "=".
_UNFIT: Final = re.compile(r"[,=:|#@\s\\]")


class TelegrafStatsD(TaggedDialect):
    """A backend that sends ``name,tag=value:1|c``, for `Metrics.add_backend`.

    Labels are tags. All else is as with `falconkit.metrics.statsd.StatsD`.

    >>> TelegrafStatsD("127.0.0.1", tags={"env": "prod"}).interval
    1.0
    >>> TelegrafStatsD("127.0.0.1", tags={"env": "a=b"})
    Traceback (most recent call last):
    falconkit.errors.ConfigurationError: the tag 'env' cannot have the value 'a=b': ...
    """

    name = "telegraf"

    def __init__(
        self,
        host: str | None,
        port: int = 8125,
        prefix: str = "",
        *,
        tags: Mapping[str, str] | None = None,
        interval: float = 1.0,
        values: int = 100,
        datagram: int = 1432,
        clock: Clock = system_clock,
    ) -> None:
        """Say where to send. Nothing is looked up or opened before the first `send`.

        Args:
            host: A name, an address or ``unix:///path``; None or ``""``: nothing is sent.
            port: Its UDP port.
            prefix: Put before every name, with a dot.
            tags: Stand on every series, before its own.
            interval: Seconds between two sends.
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
            tags=tags,
            unfit=_UNFIT,
            interval=interval,
            values=values,
            datagram=datagram,
            clock=clock,
            setting="TELEGRAF",
        )
        self._text = lru_cache(maxsize=65536)(self._text_of)

    def _write_fitted(self, batch: Batch, samples: Sequence[Sample]) -> None:
        for each in samples:
            write(batch, self._text(each.key), each, self._values)

    def _text_of(self, key: SeriesKey) -> str:
        tags = "".join(f",{label}={value}" for label, value in (*self._tags.constant, *key.labels))
        return f"{key.name}{tags}"
