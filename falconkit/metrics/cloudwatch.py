"""Send metrics to CloudWatch, by botocore's client (extra ``cloudwatch``)."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from operator import mul
from typing import Final

import msgspec

from falconkit.errors import ConfigurationError, UpstreamUnavailable
from falconkit.metrics.cloudwatch_client import Client, client_maker
from falconkit.metrics.cloudwatch_rules import (
    UNFIT,
    UNITS,
    check_dimensions,
    check_namespace,
    shown,
)
from falconkit.metrics.distribution import Distribution, value_of
from falconkit.metrics.sample import Kind, Sample, SeriesKey
from falconkit.metrics.tags import Tags

_LOG = logging.getLogger("falconkit.metrics")
_MOST_DIMENSIONS: Final = 30
_MOST_VALUES: Final = 150
_LARGEST: Final = 2.0**360
_ROOM: Final = 8192


class CloudWatch:
    """A backend that calls CloudWatch's ``PutMetricData``, for `Metrics.add_backend`.

    Labels are dimensions. Counters are differences, of which ``Sum`` makes the count; a
    histogram goes as its values, each right to 1 %, with how often it was observed, and
    its exact sum, of which CloudWatch makes any quantile; a gauge is the host's, and its
    ``Average`` is meant. Each set of dimensions of a metric is paid for, and so is each call:
    of up to 1,000 metrics and 1 MB, one or few a worker an interval.

    Credentials and region are what botocore finds: the environment, ``~/.aws``, the role of
    the task or the machine.

    >>> CloudWatch("Shop", region="eu-west-1").interval
    60.0
    >>> CloudWatch("AWS/Shop")
    Traceback (most recent call last):
    falconkit.errors.ConfigurationError: namespaces AWS/... are Amazon's own, got 'AWS/Shop'

    The limits are those of PutMetricData in the CloudWatch API reference, 2010-08-01.
    """

    name = "cloudwatch"

    def __init__(
        self,
        namespace: str,
        *,
        dimensions: Mapping[str, str] | None = None,
        interval: float = 60.0,
        high_resolution: bool = False,
        region: str | None = None,
        endpoint_url: str | None = None,
    ) -> None:
        """Say where to send. Nothing is looked up or opened before the first `send`.

        Args:
            namespace: CloudWatch's, as in ``Shop``.
            dimensions: Stand on every metric, before its labels.
            interval: Seconds between two sends.
            high_resolution: Let CloudWatch keep the seconds of a minute apart, so that an
                alarm may look at 10 s of them. Give a shorter ``interval`` too.
            region: As in ``eu-west-1``; when None what botocore finds.
            endpoint_url: Where else than at Amazon's own address; when None what botocore finds.

        Raises:
            ConfigurationError: botocore is not installed, or a value cannot be used.
        """
        check_namespace(namespace)
        if not interval > 0:
            raise ConfigurationError(f"give interval > 0, got {interval}")
        self.interval = interval
        self._tail = ',"StorageResolution":1}' if high_resolution else "}"
        self._tags = Tags(dimensions, room=_ROOM, unfit=UNFIT)
        self._head = lru_cache(maxsize=65536)(self._head_of)
        self._make = client_maker(namespace, region, endpoint_url, upstream=self.name)
        self._client: Client | None = None

    def check(self, kind: Kind, name: str, labels: tuple[str, ...], /) -> None:
        """Refuse a metric that CloudWatch would.

        Raises:
            ConfigurationError: There are too many dimensions, or one is there twice.
        """
        check_dimensions(self._tags, name, labels, most=_MOST_DIMENSIONS, by="CloudWatch")

    def send(self, samples: Sequence[Sample], /) -> None:
        """Send what was counted; what went only in part is completed next time.

        Raises:
            UpstreamUnavailable: CloudWatch took nothing.
        """
        client = self._client
        if client is None or client.pid != os.getpid():
            # A connection that was open at the fork is the parent's, and so is what it owes.
            client = self._client = self._make()
        client.again()
        went = client.went
        client.put(self._data(self._tags.fitted(samples)))
        try:
            client.again()
        except UpstreamUnavailable:
            if client.went == went:
                client.unsent.clear()
                if not went:
                    # It may have been made without credentials, for which it never looks again.
                    self.close()
                raise
            # The rest is kept in the client, and goes first next time.

    def close(self) -> None:
        """Close the connection."""
        client, self._client = self._client, None
        if client is not None and client.pid == os.getpid():
            if client.unsent:
                _LOG.warning("%d calls of metrics could not reach CloudWatch", len(client.unsent))
            client.close()

    def _data(self, samples: Sequence[Sample]) -> Iterator[str]:
        for each in samples:
            head, value = self._head(each.key), each.value
            if isinstance(value, Distribution):
                for values in histogram(value):
                    yield f"{head}{values}{self._tail}"
            elif value or each.kind == "gauge":
                yield f'{head},"Value":{bounded(value)!r}{self._tail}'

    def _head_of(self, key: SeriesKey) -> str:
        unit = "Count" if key.kind == "counter" else UNITS.get(key.unit, "None")
        pairs = (*self._tags.constant, *key.labels)
        head = {
            "MetricName": key.name,
            "Unit": unit,
            "Dimensions": [{"Name": name, "Value": value} for name, value in pairs],
        }
        return msgspec.json.encode(head).decode()[:-1]


def histogram(seen: Distribution) -> Iterator[str]:
    """Write a histogram as members of metrics of 150 values at most, which add up to it.

    >>> print(*histogram(Distribution({1037: 2}, 2.0)))
    ,"Values":[1.00...],"Counts":[2],"StatisticValues":{"SampleCount":2,"Sum":2.0,...}
    """
    buckets = sorted(seen.buckets)
    roughly = sum(value_of(bucket) * count for bucket, count in seen.buckets.items())
    share = bounded(seen.sum) / roughly if roughly else 0.0
    for first in range(0, len(buckets), _MOST_VALUES):
        some = buckets[first : first + _MOST_VALUES]
        sizes = [*map(value_of, some)]
        counts = [seen.buckets[bucket] for bucket in some]
        count = sum(counts)
        part = sum(map(mul, sizes, counts))
        total = bounded(share * part)
        # The mean may be beyond the outermost values, which are right to 1 %.
        least = min(sizes[0], total / count)
        most = max(sizes[-1], total / count)
        yield (
            f',"Values":[{",".join(map(shown, sizes))}],"Counts":[{",".join(map(str, counts))}]'
            f',"StatisticValues":{{"SampleCount":{count},"Sum":{total!r}'
            f',"Minimum":{least!r},"Maximum":{most!r}}}'
        )


def bounded(value: float) -> float:
    """Return the nearest number that CloudWatch takes.

    >>> bounded(3.0), bounded(-1e300) == -(2.0**360), bounded(1e-300)
    (3.0, True, 0.0)
    """
    if abs(value) < 1 / _LARGEST:
        return 0.0
    return min(max(value, -_LARGEST), _LARGEST)
