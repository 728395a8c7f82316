"""Which of an app's backends a dashboard asks."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final, Literal, TypeVar

from falconkit.dashboards.stores import LEGACY, Direct, ThroughStatsD
from falconkit.dashboards.targets import Targets
from falconkit.errors import ConfigurationError
from falconkit.metrics.graphite import Graphite
from falconkit.metrics.prometheus import Prometheus
from falconkit.metrics.statsd import StatsD
from falconkit.transport.http import App

Source = Literal["prometheus", "statsd", "graphite"]

SOURCES: Final[tuple[Source, ...]] = ("prometheus", "statsd", "graphite")

_HOW: Final = {
    "prometheus": "http.app(prometheus=Prometheus(metrics))",
    "statsd": "metrics.add_backend(StatsD(...))",
    "graphite": "metrics.add_backend(Graphite(...))",
}

B = TypeVar("B")


def source_of(app: App, among: Sequence[Source] = SOURCES) -> Source:
    """Return the first of ``among`` by which the app publishes.

    >>> from falconkit.transport import http
    >>> app = http.app()
    >>> app.metrics.add_backend(StatsD(None))
    >>> source_of(app)
    'statsd'

    Raises:
        ConfigurationError: It publishes by none.
    """
    for each in among:
        if _backends(app, each):
            return each
    ways = " or ".join(_HOW[each] for each in among)
    raise ConfigurationError(f"the app publishes nothing that such a dashboard could ask: {ways}")


def prometheus_of(app: App) -> Prometheus:
    """Return what the app shows to Prometheus.

    Raises:
        ConfigurationError: It shows nothing.
    """
    return _only(app, "prometheus", Prometheus)


def graphite_of(
    app: App,
    source: Source,
    *,
    prefix: str | None = None,
    namespace: str = LEGACY,
    percentiles: Sequence[float] = (90,),
) -> tuple[Targets, str]:
    """Return what writes queries for Graphite, and its unit of seconds.

    Args:
        app: Whose metrics are asked for.
        source: ``statsd`` or ``graphite``: by which of its backends.
        prefix: In place of the backend's. A `Graphite` that is named by the host it runs on
            has ``*``, every host, when None: this is not the host that it will run on.
        namespace: See `ThroughStatsD`.
        percentiles: See `ThroughStatsD`.

    Raises:
        ConfigurationError: The app has no such backend.
    """
    if source == "statsd":
        sent = _only(app, source, StatsD)
        through = ThroughStatsD(
            sent.prefix if prefix is None else prefix.rstrip("."),
            namespace=namespace,
            percentiles=percentiles,
        )
        return Targets(sent, through), through.seconds
    shown = _only(app, "graphite", Graphite)
    here = shown.prefix == socket.gethostname().replace(".", "_")
    direct = Direct(("*" if here else shown.prefix) if prefix is None else prefix.rstrip("."))
    return Targets(shown, direct), direct.seconds


def _only(app: App, source: Source, kind: type[B]) -> B:
    found = [each for each in _backends(app, source) if isinstance(each, kind)]
    if not found:
        raise ConfigurationError(
            f"the app does not publish by {source}: {_HOW[source]} makes it do so"
        )
    return found[0]


def _backends(app: App, source: Source) -> list[object]:
    kinds = {"prometheus": Prometheus, "statsd": StatsD, "graphite": Graphite}
    there = (app.prometheus, *app.metrics.backends)
    return [each for each in there if isinstance(each, kinds[source])]
