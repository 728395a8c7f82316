"""Show metrics to an OpenTelemetry collector, by its protocol over HTTP (extra ``otlp``)."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from typing import Final

from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError, UpstreamUnavailable
from falconkit.extras import needing
from falconkit.metrics.otlp_request import Request, exported
from falconkit.metrics.sample import Sample
from falconkit.posting import Posting

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
        with needing("otlp"):
            from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2  # noqa: F401
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
        sent = {**(headers or {}), "Content-Type": _TYPE, "Connection": "close"}
        self._posting = Posting(url or "", sent, timeout=timeout)
        self._clock = clock
        self._request: Request | None = None

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
        self._posting.close()

    def _post(self, body: bytes) -> None:
        try:
            status, _ = self._posting.send(body)
        except OSError as ex:
            raise UpstreamUnavailable(f"{self.url}: {ex}", upstream=self.name) from ex
        if status >= 300:
            raise UpstreamUnavailable(
                f"{self.url} did not take the metrics: it answers {status}", upstream=self.name
            )
