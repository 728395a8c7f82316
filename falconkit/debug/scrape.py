"""``/metrics``: the numbers of the app as Prometheus reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

import falcon

from falconkit.debug.door import Door

_TEXT: Final = "text/plain; version=0.0.4"
_OPEN_METRICS: Final = "application/openmetrics-text; version=1.0.0"


class Exposed(Protocol):
    """What writes the two formats: `falconkit.metrics.prometheus.Prometheus`."""

    def text(self) -> str:
        """Return the text format 0.0.4."""

    def open_metrics(self) -> str:
        """Return OpenMetrics 1.0."""


class Scrape:
    """A Falcon resource that shows metrics in the format that the scraper prefers.

    Args:
        exposed: Writes the formats.
        door: Who may read them; this machine only when None.
    """

    def __init__(self, exposed: Exposed, door: Door | None = None) -> None:
        self._exposed = exposed
        self._door = Door() if door is None else door

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show them.

        Raises:
            Forbidden: They are not for everybody, and somebody else asks.
        """
        self._door.check(req)
        preferred = prefers_open_metrics(req.env)
        resp.content_type = f"{_OPEN_METRICS if preferred else _TEXT}; charset=utf-8"
        resp.set_header("Vary", "Accept")
        resp.cache_control = ("no-store",)
        resp.text = self._exposed.open_metrics() if preferred else self._exposed.text()

    on_head = on_get


def prefers_open_metrics(env: Mapping[str, Any]) -> bool:
    """Tell whether a scraper asks for OpenMetrics 1.0 rather than for text.

    Whoever asks for neither gets text, as from Prometheus' own clients.

    >>> prefers_open_metrics({"HTTP_ACCEPT": "application/openmetrics-text;version=1.0.0"})
    True
    >>> prefers_open_metrics({})
    False
    """
    accept = env.get("HTTP_ACCEPT") or "*/*"
    try:
        best = falcon.mediatypes.best_match((_TEXT, _OPEN_METRICS), accept)
    except (ValueError, falcon.HTTPError):
        return False
    return best == _OPEN_METRICS
