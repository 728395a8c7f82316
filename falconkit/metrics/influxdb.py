"""Show metrics to InfluxDB, by its line protocol over HTTP (versions 1, 2 and 3)."""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final
from urllib.parse import urlencode, urlsplit

from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError, UpstreamUnavailable
from falconkit.metrics.distribution import Distribution
from falconkit.metrics.paths import QUANTILES
from falconkit.metrics.sample import Kind, Sample, SeriesKey
from falconkit.metrics.tags import Tags
from falconkit.posting import Posting

_PATIENCE: Final = 2.0
_ROOM: Final = 1 << 16
_PREFIX: Final = re.compile(r"[A-Za-z0-9_.-]{0,64}")
_SPECIAL: Final = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ "})
# There is no escape for a backslash, which at the end of a value would escape what follows.
_UNFIT: Final = re.compile(r"[\\\n]")


class InfluxDB:
    """A backend that shows totals to InfluxDB, for `Metrics.add_backend`.

    A series has one value for each instant there, so it gets the totals of the host, from one
    worker an interval. A metric is a measurement and its labels are tags; the fields are
    ``total`` of a counter, ``value`` of a gauge, and ``count``, ``sum`` (totals too), ``p50``,
    ``p90``, ``p95`` and ``p99`` (of the interval) of a histogram. All are floats.
    ``non_negative_derivative(total, 1s)`` is the rate.

    >>> InfluxDB("http://localhost:8086", database="shop").interval
    10.0
    >>> InfluxDB("localhost", database="shop")
    Traceback (most recent call last):
    falconkit.errors.ConfigurationError: InfluxDB's URL is http:// or https://, got 'localhost'
    """

    name = "influxdb"

    def __init__(
        self,
        url: str | None,
        *,
        database: str = "",
        bucket: str = "",
        org: str = "",
        token: str = "",
        user: str = "",
        password: str = "",
        prefix: str = "",
        tags: Mapping[str, str] | None = None,
        interval: float = 10.0,
        clock: Clock = system_clock,
    ) -> None:
        """Say where to send. Nothing is looked up or opened before the first `show`.

        Args:
            url: As in ``http://localhost:8086``; None or ``""``: nothing is sent.
            database: Of version 1, and perhaps ``user`` and ``password``.
            bucket: Of version 2 and later instead, with ``org`` and ``token``.
            org: The organization that has the bucket.
            token: What lets one write.
            user: Of version 1.
            password: The user's.
            prefix: Put before every measurement.
            tags: Stand on every series. No two hosts may have the same, for one would
                overwrite the other: ``host``, the host's name, when None.
            interval: Seconds between two points.
            clock: What time is read from.

        Raises:
            ConfigurationError: A value cannot be used.
        """
        if url and urlsplit(url).scheme not in ("http", "https"):
            raise ConfigurationError(f"InfluxDB's URL is http:// or https://, got {url!r:.200}")
        if bool(database) == bool(bucket):
            raise ConfigurationError(
                f"give a database (version 1) or a bucket (later ones), got {database!r:.100} "
                f"and {bucket!r:.100}"
            )
        if not _PREFIX.fullmatch(prefix):
            raise ConfigurationError(
                "a measurement's prefix is at most 64 letters, digits, '_', '-' and '.', "
                f"got {prefix!r:.200}"
            )
        if not interval > 0:
            raise ConfigurationError(f"give interval > 0, got {interval}")
        where = {"db": database} if database else {"org": org, "bucket": bucket}
        path = "/write" if database else "/api/v2/write"
        self._url = (
            f"{url.rstrip('/')}{path}?{urlencode(where | {'precision': 'ms'})}" if url else ""
        )
        # A connection each time, and so a look-up: a kept one stays where a name has led once.
        sent = {"Content-Type": "text/plain; charset=utf-8", "Connection": "close"}
        if token:
            sent["Authorization"] = f"Token {token}"
        elif user:
            pair = base64.b64encode(f"{user}:{password}".encode())
            sent["Authorization"] = f"Basic {pair.decode()}"
        self._posting = Posting(self._url, sent, timeout=_PATIENCE)
        self._tags = Tags(
            {"host": socket.gethostname()} if tags is None else tags, room=_ROOM, unfit=_UNFIT
        )
        self.interval = interval
        self._prefix, self._clock = prefix, clock
        self._series = lru_cache(maxsize=65536)(self._series_of)

    def check(self, kind: Kind, name: str, labels: tuple[str, ...], /) -> None:
        """Refuse a metric with a label that is a constant tag, or is InfluxDB's own.

        Raises:
            ConfigurationError: A label cannot be carried.
        """
        self._tags.check(name, labels)
        for label in labels:
            if label == "time" or label.startswith("_"):
                raise ConfigurationError(
                    f"{name}: the label {label!r} is InfluxDB's own: give it another name"
                )

    def show(self, samples: Sequence[Sample], lately: Sequence[Sample], /) -> None:
        """Send the totals, and the quantiles of lately.

        Raises:
            UpstreamUnavailable: InfluxDB did not take all of it.
        """
        lines = "".join(self._lines(samples, lately))
        if not self._url or not lines:
            return
        try:
            # Points of the same instant overwrite themselves, so it can be sent again.
            status, said = self._posting.send(lines.encode())
        except OSError as ex:
            raise UpstreamUnavailable(f"InfluxDB: {ex}", upstream=self.name) from ex
        if status >= 300:
            words = said[:300].decode(errors="replace").strip()
            raise UpstreamUnavailable(f"InfluxDB answers {status}: {words}", upstream=self.name)

    def close(self) -> None:
        """Close the connection."""
        self._posting.close()

    def _lines(self, samples: Sequence[Sample], lately: Sequence[Sample]) -> Iterator[str]:
        at = int(self._clock.time() * 1000)
        recent = {
            each.key: each.value
            for each in self._tags.fitted(lately)
            if isinstance(each.value, Distribution)
        }
        for each in self._tags.fitted(samples):
            series, value = self._series(each.key), each.value
            if isinstance(value, Distribution):
                fields = f"count={value.count}.0,sum={value.sum!r}"
                fields += "".join(_quantiles(recent.get(each.key, Distribution())))
                yield f"{series} {fields} {at}\n"
            else:
                field = "total" if each.kind == "counter" else "value"
                yield f"{series} {field}={value!r} {at}\n"

    def _series_of(self, key: SeriesKey) -> str:
        # Sorted, as InfluxDB asks for.
        tags = sorted((*self._tags.constant, *key.labels))
        shown = "".join(
            f",{name.translate(_SPECIAL)}={value.translate(_SPECIAL)}" for name, value in tags
        )
        return f"{(self._prefix + key.name).translate(_SPECIAL)}{shown}"


def _quantiles(seen: Distribution) -> Iterator[str]:
    sizes = seen.quantiles(tuple(QUANTILES.values()))
    for name, size in zip(QUANTILES, sizes, strict=False):  # none of nothing
        yield f",{name}={size!r}"
