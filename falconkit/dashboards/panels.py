"""The panels of an app: none for what the app does not publish."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from falconkit.dashboards.published import SERVED, Measured, Metric, Published
from falconkit.dashboards.queries import Level, Quantile, Query, Rate, Share, Where
from falconkit.errors import CircuitOpen, DeadlineExceeded, Overloaded, RateLimited
from falconkit.metrics.middleware import kind_of

Unit = Literal["rate", "seconds", "share", "number"]

QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)

_REFUSALS: Final[tuple[tuple[str, frozenset[str], type[Exception]], ...]] = (
    ("Refused by the limiter", frozenset({"limit", "delay"}), RateLimited),
    ("Refused as too many at once", frozenset({"shed", "bulkhead", "coalesce"}), Overloaded),
    ("Refused by an open breaker", frozenset({"guard"}), CircuitOpen),
    ("Out of time", frozenset({"deadline", "timeout"}), DeadlineExceeded),
)


@dataclass(frozen=True, slots=True)
class Panel:
    """One graph.

    Attributes:
        title: What it shows.
        help: What to make of it.
        unit: ``rate`` (a second), ``seconds``, ``share`` (of 1) or ``number``.
        queries: Its lines.
    """

    title: str
    help: str
    unit: Unit
    queries: tuple[Query, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """Panels that belong together."""

    title: str
    panels: tuple[Panel, ...]


def rows(of: Published) -> tuple[Row, ...]:
    """Return the panels of an app, in the order in which somebody on call asks for them."""
    made = [Row(_row_title(prefix), tuple(_calls(of, prefix))) for prefix in _prefixes(of)]
    made += [
        Row("Resilience", tuple(_resilience(of))),
        Row("Saturation", tuple(_saturation(of))),
    ]
    return tuple(row for row in made if row.panels)


def _prefixes(of: Published) -> list[str]:
    return sorted(of.measured, key=lambda prefix: (prefix != SERVED, prefix))


def _row_title(prefix: str) -> str:
    return "Requests" if prefix == SERVED else f"Calls that we make ({prefix})"


def _calls(of: Published, prefix: str) -> Iterator[Panel]:
    """Rate, errors, duration (Tom Wilkie's RED), and what was refused."""
    endpoints = of.measured[prefix]
    count, errors, seconds, flying = (
        of.metrics[f"{prefix}.{each}"] for each in ("count", "errors", "seconds", "in_flight")
    )
    which = _which(endpoints)
    yield Panel(
        "Rate",
        "Calls a second, whatever became of them.",
        "rate",
        (Rate(count, where=which, by=("endpoint",)),),
    )
    failed: Where = (*which, ("outcome", ("error",)))
    yield Panel(
        "Error ratio",
        "The share of calls that ended in an error: neither a refusal nor a business failure.",
        "share",
        (
            Share(
                Rate(count, where=failed, by=("endpoint",)),
                Rate(count, where=which, by=("endpoint",)),
            ),
        ),
    )
    yield Panel(
        "Errors by kind",
        "Calls a second that failed or were refused, by the error's class.",
        "rate",
        (Rate(errors, where=which, by=("kind",)),),
    )
    yield Panel(
        "Latency",
        "Seconds that calls took: quantiles over all hosts where the store can tell, else of "
        "the slowest one.",
        "seconds",
        tuple(Quantile(seconds, q, f"p{q * 100:g}", which, by=("endpoint",)) for q in QUANTILES),
    )
    yield from _refusals(errors, endpoints)
    yield Panel(
        "In flight",
        "Calls that are under way now.",
        "number",
        (Level(flying, where=which, by=("endpoint",)),),
    )


def _refusals(errors: Metric, endpoints: Sequence[Measured]) -> Iterator[Panel]:
    for title, layers, error in _REFUSALS:
        guarded = [each for each in endpoints if each.within & layers]
        if guarded:
            where: Where = (*_which(guarded), ("kind", (kind_of(error()),)))
            names = ", ".join(sorted(set().union(*(each.within & layers for each in guarded))))
            yield Panel(
                title,
                f"Calls a second that ended in {error.__name__}; the layers there: {names}.",
                "rate",
                (Rate(errors, where=where, by=("endpoint",)),),
            )


def _which(endpoints: Sequence[Measured]) -> Where:
    return (("endpoint", tuple(sorted(each.name for each in endpoints))),)


def _resilience(of: Published) -> Iterator[Panel]:
    state = of.metrics.get("breaker.state")
    if state is not None:
        yield Panel(
            "Breaker states",
            "How many workers see each breaker in which state; from its first call on.",
            "number",
            (Level(state, by=("breaker", "state")),),
        )
    told = {
        "event.try_failed": "tried again",
        "event.hedge_sent": "hedged",
        "event.retries_gave_up": "gave up",
    }
    tries = [Rate(of.metrics[name], said) for name, said in told.items() if name in of.metrics]
    if tries:
        yield Panel(
            "Retries",
            "Tries a second that failed and were made again, and calls that were given up.",
            "rate",
            tuple(tries),
        )


def _saturation(of: Published) -> Iterator[Panel]:
    queue = of.metrics.get("request.queue_seconds")
    if queue is not None:
        yield Panel(
            "Queue time",
            "Seconds that requests waited in the router, as X-Request-Start says.",
            "seconds",
            tuple(Quantile(queue, q, f"p{q * 100:g}") for q in QUANTILES),
        )
    threads, flying = of.metrics.get("gunicorn.threads"), of.metrics.get(f"{SERVED}.in_flight")
    if threads is None:
        return
    if flying is not None:
        yield Panel(
            "Saturation of workers",
            "The share of all threads that serve a request; at 1 the next one waits.",
            "share",
            (Share(Level(flying, "threads in use"), Level(threads)),),
        )
    yield Panel(
        "Workers and threads",
        "How many the live hosts have.",
        "number",
        (Level(of.metrics["gunicorn.workers"], "workers"), Level(threads, "threads")),
    )
