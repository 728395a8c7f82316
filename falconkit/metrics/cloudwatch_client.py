"""Calls of CloudWatch in as few requests as its limits allow; what failed goes first next time."""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec

from falconkit.errors import UpstreamUnavailable
from falconkit.extras import needing

_PATIENCE: Final = 2.0
_MOST_METRICS: Final = 1000
_MOST_BYTES: Final = 1_000_000 - 300
"""Of the metrics in a request, which has the namespace besides."""


def client_maker(
    namespace: str, region: str | None, endpoint_url: str | None, *, upstream: str
) -> Callable[[], Client]:
    """Return what makes a client, in the process and the thread that will use it.

    Raises:
        ConfigurationError: botocore is not installed.
    """
    with needing("cloudwatch"):
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError
        from botocore.session import Session
    errors = (BotoCoreError, ClientError)

    def make() -> Client:
        session = Session()
        # Other versions of botocore speak other protocols, and then write what they send.
        written = session.get_service_model("cloudwatch").resolved_protocol == "json"
        config = Config(
            connect_timeout=_PATIENCE,
            read_timeout=_PATIENCE,
            retries={"total_max_attempts": 1},  # what failed is added to the next interval
            parameter_validation=False,
            disable_request_compression=written,
            max_pool_connections=1,
        )
        try:
            made = session.create_client(
                "cloudwatch", region_name=region, endpoint_url=endpoint_url, config=config
            )
        except (*errors, ValueError) as ex:
            raise UpstreamUnavailable(f"CloudWatch: {ex}", upstream=upstream) from ex
        return Client(made, namespace, written=written, errors=errors, upstream=upstream)

    return make


class Client:
    """Sends batches of metrics, and keeps those that did not go.

    Attributes:
        pid: The process that made it.
        unsent: Batches, each of one request.
        went: How many were sent.
    """

    def __init__(
        self,
        client: Any,
        namespace: str,
        *,
        written: bool,
        errors: tuple[type[Exception], ...],
        upstream: str,
    ) -> None:
        """Send by ``client``, botocore's, whose errors are ``errors``.

        Args:
            client: botocore's.
            namespace: CloudWatch's.
            written: Whether it speaks JSON, so that it can be given the text.
            errors: What it raises.
            upstream: Whom an error is about.
        """
        self.pid = os.getpid()
        self.unsent: list[str] = []
        self.went = 0
        self._client, self._namespace = client, namespace
        self._errors, self._upstream = errors, upstream
        self._written = written
        if written:
            client.meta.events.register("before-call.cloudwatch.PutMetricData", self._write)

    def put(self, metrics: Iterable[str]) -> None:
        """Take metrics, each a JSON object, to be sent by `again`."""
        self.unsent += list(batches(metrics))

    def again(self) -> None:
        """Send what is unsent.

        Raises:
            UpstreamUnavailable: A call failed; it and those after it stay unsent.
        """
        while self.unsent:
            try:
                self._call()
            except self._errors as ex:
                raise UpstreamUnavailable(f"CloudWatch: {ex}", upstream=self._upstream) from ex
            del self.unsent[0]
            self.went += 1

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _call(self) -> None:
        # PERF: botocore takes 57 ms to serialize and compress 1,000 metrics, of which 100 are
        # histograms of 100 values; it is given the text, which takes 4.
        data = [] if self._written else msgspec.json.decode(f"[{self.unsent[0]}]")
        self._client.put_metric_data(Namespace=self._namespace, MetricData=data)

    def _write(self, params: dict[str, Any], **_: object) -> None:
        """Put what is unsent in place of the call's own metrics, which are none."""
        body = f'{{"Namespace":"{self._namespace}","MetricData":[{self.unsent[0]}]}}'
        params["body"] = gzip.compress(body.encode(), compresslevel=1)
        params["headers"]["Content-Encoding"] = "gzip"


def batches(metrics: Iterable[str]) -> Iterator[str]:
    """Join metrics by commas, as many as one request takes.

    >>> [len(each) for each in batches(["{}"] * 1001)]
    [2999, 2]
    """
    some: list[str] = []
    size = 0
    for each in metrics:
        if some and (len(some) == _MOST_METRICS or size + len(each) >= _MOST_BYTES):
            yield ",".join(some)
            some, size = [], 0
        some.append(each)
        size += len(each) + 1
    if some:
        yield ",".join(some)
