"""What an app publishes, read off the app itself: its endpoints, their layers, its metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from falconkit.dashboards.reach import layered
from falconkit.errors import ConfigurationError
from falconkit.layers import layers
from falconkit.metrics.sample import Kind
from falconkit.naming import name_of
from falconkit.transport.http import App
from falconkit.transport.http.plain_falcon import UNMATCHED

SERVED = "request"
"""The first word of the metrics of what is served, by `measure`'s default."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric.

    Attributes:
        kind: ``counter``, ``gauge`` or ``histogram``.
        name: As in ``request.count``.
        labels: The names of its labels, in their order.
        unit: ``s`` for seconds.
    """

    kind: Kind
    name: str
    labels: tuple[str, ...] = ()
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Measured:
    """An endpoint that is counted and timed.

    Attributes:
        name: The endpoint's.
        within: The names of the layers inside of `measure`, whose refusals it counts.
    """

    name: str
    within: frozenset[str]


@dataclass(frozen=True, slots=True)
class Published:
    """What an app publishes.

    Attributes:
        measured: By the first word of their metrics, the endpoints: ``request`` has what
            is served, others what is called.
        layers: The names of all layers around what is served or called.
        metrics: By name, what the app publishes whenever there is something to count.
    """

    measured: Mapping[str, tuple[Measured, ...]]
    layers: frozenset[str]
    metrics: Mapping[str, Metric]


def published(app: App, *, gunicorn: bool = True) -> Published:
    """Read what ``app`` publishes. No endpoint of it is called.

    >>> from falconkit import Context, chain
    >>> from falconkit.metrics import measure
    >>> from falconkit.transport import http
    >>> app = http.app()
    >>> def add(ctx: Context, v: int) -> int:
    ...     return v
    >>> app.post("/add", add, measure(app.metrics))
    >>> sorted(published(app, gunicorn=False).metrics)
    ['request.count', 'request.errors', 'request.in_flight', 'request.seconds']
    >>> [each.name for each in published(app).measured["request"]]
    ['add']

    Args:
        app: Whose.
        gunicorn: Whether it is served with the settings of `falconkit.server.gunicorn`, which
            tell how many workers and threads there are.

    Raises:
        ConfigurationError: No endpoint of it is measured.
    """
    made = {
        each.name: Metric(each.kind, each.name, each.label_names, each.unit)
        for each in app.metrics.instruments
    }
    found: dict[str, dict[str, Measured]] = {}
    around: set[str] = set()
    for endpoint in layered(each.endpoint for each in (*app.wired, app.unmatched)):
        told = layers(endpoint)
        around.update(each.name for each in told)
        for at, each in enumerate(told):
            prefix = str(each.config.get("prefix"))
            if each.name == "measure" and f"{prefix}.count" in made:
                within = frozenset(inner.name for inner in told[at + 1 :])
                name = name_of(endpoint)
                found.setdefault(prefix, {}).setdefault(name, Measured(name, within))
    if not found:
        raise ConfigurationError(
            "no endpoint of the app is measured, so there is nothing to draw: put "
            "measure(metrics) into their chains, with the metrics of http.app(metrics=)"
        )
    return Published(
        {prefix: tuple(names.values()) for prefix, names in found.items()},
        frozenset(around),
        {each.name: each for each in _metrics(made, found, around, gunicorn)},
    )


def _metrics(
    made: Mapping[str, Metric],
    measured: Mapping[str, object],
    around: set[str],
    gunicorn: bool,
) -> list[Metric]:
    families = ("count", "errors", "seconds", "in_flight")
    told = [made[f"{prefix}.{each}"] for prefix in measured for each in families]
    if "request.queue_seconds" in made:
        told.append(made["request.queue_seconds"])
    # What `count_events` and the server's hooks make of it later, in the process that serves.
    if around & {"retry", "hedge"}:
        told.append(Metric("counter", "event.try_failed"))
        told.append(Metric("counter", "event.retries_gave_up"))
    if "hedge" in around:
        told.append(Metric("counter", "event.hedge_sent"))
    if "guard" in around:
        told.append(Metric("gauge", "breaker.state", ("breaker", "state")))
    if gunicorn:
        told += [Metric("gauge", "gunicorn.workers"), Metric("gauge", "gunicorn.threads")]
    return told


def routed(endpoints: tuple[Measured, ...]) -> tuple[Measured, ...]:
    """Leave out what stands for the requests that no route takes."""
    return tuple(each for each in endpoints if each.name != UNMATCHED)
