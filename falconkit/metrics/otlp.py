"""Show metrics to an OpenTelemetry collector, by its protocol over HTTP (extra ``otlp``)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from typing import Final

import urllib3

from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError, UpstreamUnavailable
from falconkit.metrics.otlp_request import Request, exported
from falconkit.metrics.sample import Sample

_TYPE: Final = "application/x-protobuf"


class OTLPMetrics:
    """A backend that shows totals to a collector, for `Metrics.add_backend`.

    A stream has one writer in OpenTelemetry's data model, so the totals of the host go as
    cumulative sums, gauges and exponential histograms, from one worker an interval. The
    start of the totals is not told; that they go back tells a new one.

    >>> OTLPMetrics("http://collector:4318/v1/metrics", service="shop").interval
    10.0

    Args:
        url: Where the collector takes metrics, path and all; None or ``""``: nothing is sent.
        service: ``service.name``.
        attributes: Further ones of the resource. ``service.instance.id`` is the host's name
            unless it is given: no two hosts may be the same.
        headers: Sent with each export.
        timeout: Seconds to deliver. What was not is not tried again: the next totals have it.
        interval: Seconds between two exports.
        clock: What time is read from.

    Raises:
        ConfigurationError: The protobufs are not installed, or a value cannot be used.
    """

    name = "otlp"

    def __init__(
        self,
        url: str | None,
        *,
        service: str,
        attributes: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 2.0,
        interval: float = 10.0,
        clock: Clock = system_clock,
    ) -> None:
        try:
            from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2  # noqa: F401
        except ImportError as error:
            raise ConfigurationError(
                f"OTLPMetrics needs OpenTelemetry's protobufs ({error}): "
                "pip install 'falconkit[otlp]'"
            ) from error
        if not (interval > 0 and timeout > 0):
            raise ConfigurationError(f"give interval and timeout > 0, got {interval} and {timeout}")
        if not service:
            raise ConfigurationError("give the service's name, as in service='shop'")
        self.url, self.interval = url, interval
        self._resource = {
            "service.name": service,
            "service.instance.id": socket.gethostname(),
            **(attributes or {}),
        }
        # A connection each time, and so a look-up: a kept one stays where a name has led once.
        self._headers = {**(headers or {}), "Content-Type": _TYPE, "Connection": "close"}
        self._timeout, self._clock = timeout, clock
        self._request: Request | None = None
        self._pool: urllib3.PoolManager | None = None
        self._pid = 0

    def show(self, samples: Sequence[Sample], lately: Sequence[Sample], /) -> None:
        """Export the totals.

        Raises:
            UpstreamUnavailable: The collector did not take them.
        """
        some = exported(samples)
        if not self.url or not some:
            return
        keys = [each.key for each in some]
        if self._request is None or self._request.keys != keys:
            self._request = Request(keys, self._resource)
        at = int(self._clock.time() * 1e9)
        self._post(self._request.text((each.value for each in some), at=at))

    def close(self) -> None:
        """Close the connection."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.clear()

    def _post(self, body: bytes) -> None:
        if self._pool is None or self._pid != os.getpid():
            # A connection that was open at the fork is the parent's.
            self._pool, self._pid = urllib3.PoolManager(1, maxsize=1), os.getpid()
        try:
            answer = self._pool.request(
                "POST",
                self.url or "",
                body=body,
                headers=self._headers,
                timeout=urllib3.Timeout(total=self._timeout),
                retries=False,  # what comes next tells the same and more
                redirect=False,
            )
        except urllib3.exceptions.HTTPError as ex:
            raise UpstreamUnavailable(f"{self.url}: {ex}", upstream=self.name) from ex
        if answer.status >= 300:
            raise UpstreamUnavailable(
                f"{self.url} did not take the metrics: it answers {answer.status}",
                upstream=self.name,
            )
