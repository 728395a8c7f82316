"""The parts of the screen, as rows of words: what is shown, not how."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from falconkit.debug.state import Breaker, Endpoint, Happened, Service, State
from falconkit.top.pace import Pace, Paces
from falconkit.top.words import age, number, per_second, share, size, took

BAD: Final = "bad"
WELL: Final = "well"
PLAIN: Final = ""

Cell = str | tuple[str, str]
"""A text, or a text and how it is: `BAD`, `WELL`."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column.

    Attributes:
        name: Its head.
        number: Whether it holds numbers, which stand at the right and are not cut.
        wide: How much of the room that is left it gets; 0 for what it needs.
    """

    name: str
    number: bool = False
    wide: int = 0


@dataclass(frozen=True, slots=True)
class Section:
    """One part.

    Attributes:
        title: Its title.
        columns: Its columns.
        rows: Its rows, the most important first.
    """

    title: str
    columns: tuple[Column, ...]
    rows: list[tuple[Cell, ...]]


def sections(state: State, paces: Paces) -> list[Section]:
    """Return what there is to see, without the parts that are empty."""
    found = (
        _endpoints(state, paces),
        _called(state, paces),
        Section("Workers", _WORKER, list(_workers(state, paces))),
        Section("Breakers", _BREAKER, [_breaker(each, state.time) for each in state.breakers]),
        Section("Limiters, their fullest keys", _LIMITER, list(_limiters(state))),
        Section("Instances", _INSTANCE, [row for each in state.services for row in _service(each)]),
        Section("Recent errors", _ERROR, [_error(each, state.time) for each in state.errors]),
        Section(
            f"Slow, over {took(state.slow_after)}",
            _SLOW,
            [_slow(each, state.time) for each in state.slow],
        ),
        Section("Notes", (Column("", wide=1),), [(each,) for each in state.notes]),
    )
    return [each for each in found if each.rows]


_PACE: Final = (
    Column("calls/s", number=True),
    Column("errors/s", number=True),
    Column("refused/s", number=True),
    Column("p50", number=True),
    Column("p99", number=True),
    Column("in flight", number=True),
    Column("calls", number=True),
    Column("errors", number=True),
)
_WORKER: Final = tuple(
    Column(name, number=True)
    for name in ("pid", "calls/s", "in flight", "cpu", "memory", "threads", "up")
)
_BREAKER: Final = (
    Column("breaker", wide=1),
    Column("state"),
    Column("since", number=True),
    Column("calls", number=True),
    Column("failed", number=True),
    Column("slow", number=True),
    Column("last change", wide=2),
)
_LIMITER: Final = (
    Column("key", wide=1),
    Column("rate"),
    Column("full", number=True),
    Column("left", number=True),
    Column("empty in", number=True),
)
_INSTANCE: Final = (
    Column("service", wide=1),
    Column("instance", wide=1),
    Column("state"),
    Column("in flight", number=True),
    Column("latency", number=True),
    Column("failures in a row", number=True),
    Column("out for", number=True),
)
_ERROR: Final = (
    Column("ago", number=True),
    Column("endpoint", wide=1),
    Column("error", wide=2),
    Column("took", number=True),
    Column("request id"),
)
_SLOW: Final = (
    Column("took", number=True),
    Column("ago", number=True),
    Column("endpoint", wide=1),
    Column("path", wide=1),
    Column("request id"),
)


def _endpoints(state: State, paces: Paces) -> Section:
    columns = (Column("endpoint", wide=1), Column("route", wide=1), *_PACE)
    rows: list[tuple[Cell, ...]] = []
    for each in state.endpoints:
        route = f"{each.method} {each.path}".strip()
        pace = paces.endpoints.get(("", each.method, each.path, each.name))
        rows.append((each.name, route, *_pace(each, pace)))
    return Section("Endpoints", columns, rows)


def _called(state: State, paces: Paces) -> Section:
    columns = (Column("service", wide=1), Column("call", wide=1), *_PACE)
    rows: list[tuple[Cell, ...]] = []
    for service in state.services:
        for each in service.endpoints:
            pace = paces.endpoints.get((service.name, each.method, each.path, each.name))
            rows.append((service.name, each.name, *_pace(each, pace)))
    return Section("Called", columns, rows)


def _pace(endpoint: Endpoint, pace: Pace | None) -> Iterator[Cell]:
    if not endpoint.measured:
        yield from ("not measured", *[""] * (len(_PACE) - 1))
        return
    latency = endpoint.latency
    fails = BAD if pace is not None and pace.errors > 0 else PLAIN
    yield per_second(None if pace is None else pace.calls)
    yield (per_second(None if pace is None else pace.errors), fails)
    yield per_second(None if pace is None else pace.refused)
    # Until there is a second document: those of the whole time.
    yield took(latency.p50 if pace is None else pace.p50)
    yield took(latency.p99 if pace is None else pace.p99)
    yield str(endpoint.in_flight)
    yield number(endpoint.count)
    yield number(endpoint.error)


def _workers(state: State, paces: Paces) -> Iterator[tuple[Cell, ...]]:
    for each in state.workers:
        yield (
            str(each.pid),
            per_second(paces.calls.get(each.pid)),
            str(each.in_flight),
            share(paces.cpu.get(each.pid)),
            size(each.memory),
            "–" if each.threads is None else str(each.threads),
            age(each.seconds),
        )


def _breaker(breaker: Breaker, now: float) -> tuple[Cell, ...]:
    name = breaker.name if breaker.shared else f"{breaker.name} (of one worker)"
    last = ""
    if breaker.changes:
        change = breaker.changes[0]
        last = f"{change.old} → {change.new} {age(now - change.at)} ago: {change.why}"
    return (
        name,
        (breaker.state, WELL if breaker.state == "closed" else BAD),
        age(breaker.seconds),
        str(breaker.calls),
        str(breaker.failures),
        str(breaker.slow),
        last,
    )


def _limiters(state: State) -> Iterator[tuple[Cell, ...]]:
    keys = [(key, limiter) for limiter in state.limiters for key in limiter.keys]
    for key, limiter in sorted(keys, key=lambda pair: -pair[0].level):
        full = (share(key.level), BAD if key.level >= 1 else PLAIN)
        yield key.key, limiter.rate, full, str(key.remaining), took(key.reset_after)
    for limiter in state.limiters:
        if not limiter.keys:
            yield ", ".join(limiter.endpoints), limiter.rate, "under 50%", "", ""


def _service(service: Service) -> Iterator[tuple[Cell, ...]]:
    if service.failure:
        yield service.name, (service.failure, BAD), ("not told", BAD), "", "", "", ""
    for each in service.instances:
        zone = f" ({each.zone})" if each.zone else ""
        yield (
            service.name,
            each.address + zone,
            (each.state, WELL if each.state == "up" else BAD),
            str(each.in_flight),
            took(each.latency),
            str(each.failures_in_a_row),
            age(each.ejected_for) if each.ejected_for > 0 else "",
        )
    if service.known > len(service.instances):
        more = service.known - len(service.instances)
        yield service.name, f"and {more} more", "", "", "", "", ""


def _error(happened: Happened, now: float) -> tuple[Cell, ...]:
    words = f"{happened.kind}: {happened.message}" if happened.message else happened.kind
    return (
        age(now - happened.at),
        happened.endpoint,
        (words, BAD),
        took(happened.seconds),
        happened.request_id,
    )


def _slow(happened: Happened, now: float) -> tuple[Cell, ...]:
    return (
        took(happened.seconds),
        age(now - happened.at),
        happened.endpoint,
        f"{happened.method} {happened.path}".strip(),
        happened.request_id,
    )
