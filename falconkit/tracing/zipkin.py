"""Spans to a Zipkin server, over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Unpack
from urllib.parse import urlsplit

import msgspec

from falconkit.errors import ConfigurationError
from falconkit.posting import Posting
from falconkit.tracing.batch_reporter import BatchReporter
from falconkit.tracing.batches import NotDelivered, QueueOptions
from falconkit.tracing.recording import Recording
from falconkit.tracing.zipkin_json import zipkin_span

_PATH = "/api/v2/spans"
_WORTH_ANOTHER_TRY = frozenset({408, 425, 429})


class ZipkinReporter(BatchReporter):
    """Sends spans to ``POST /api/v2/spans``, by a thread of each worker; see `BatchReporter`.

    Opens nothing until the first span. Requests notice neither a Zipkin that is
    away nor one that never answers: spans are dropped then, and counted.

    >>> reporter = ZipkinReporter("http://zipkin:9411")
    >>> reporter
    ZipkinReporter('http://zipkin:9411/api/v2/spans')

    Args:
        url: Where Zipkin is; a path in it goes before the API's own.
        headers: Sent with each batch, as for ``Authorization``.
        timeout: Seconds to connect, and those until the answer is there, whole.
        **queue: See `QueueOptions`.

    Raises:
        ConfigurationError: The URL or a number cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 5.0,
        **queue: Unpack[QueueOptions],
    ) -> None:
        super().__init__("zipkin", **queue)
        self.url = _endpoint(url)
        if not timeout > 0:
            raise ConfigurationError(f"timeout={timeout!r}: give seconds, above 0")
        self._encode = msgspec.json.Encoder().encode
        sent = {"Content-Type": "application/json", **(headers or {})}
        self._posting = Posting(self.url, sent, timeout=timeout)

    def send(self, spans: list[Recording]) -> None:
        """Post a batch."""
        body = self._encode([zipkin_span(span, self.service) for span in spans])
        try:
            status, said = self._posting.send(body)
        except OSError as error:
            raise NotDelivered(f"{self.url}: {error}") from error
        if status >= 500 or status in _WORTH_ANOTHER_TRY:
            raise NotDelivered(f"{self.url} answered {status}")
        if status >= 300:
            words = said[:200].decode("utf-8", "replace")
            raise ValueError(f"{self.url} answered {status}: {words}")

    def __repr__(self) -> str:
        return f"ZipkinReporter({self.url!r})"


def _endpoint(url: str) -> str:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or parts.username is not None:
        raise ConfigurationError(
            f"Zipkin's URL is http://host:port or https://..., got {url!r}; credentials go "
            "into headers="
        )
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path if path.endswith(_PATH) else path + _PATH}"
