"""What happened between two documents, by their own clock."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from falconkit.debug.state import Endpoint, Latency, State

_HALF_A_BUCKET: Final = 1.04
"""Buckets are 8 % wide: their middle is within 4 % of all that is in them."""

Name = tuple[str, str, str, str]


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast one endpoint was called; each a number a second.

    Attributes:
        calls: Calls that ended.
        errors: Those that failed, a business failure not counted.
        refused: Those that were refused.
        p50: Seconds that half of them took at most; None where there were none.
        p99: Seconds that 99 of 100 of them took at most.
    """

    calls: float
    errors: float
    refused: float
    p50: float | None
    p99: float | None


@dataclass(frozen=True, slots=True)
class Paces:
    """What happened between two documents.

    Attributes:
        seconds: How much later the second is; 0 when they cannot be compared.
        endpoints: By service ("" for our own), method, path and name.
        calls: Calls a second of each worker, by process id.
        cpu: Of each worker the share of one processor that it used.
    """

    seconds: float = 0.0
    endpoints: dict[Name, Pace] = field(default_factory=dict)
    calls: dict[int, float] = field(default_factory=dict)
    cpu: dict[int, float] = field(default_factory=dict)


def paces(earlier: State | None, later: State) -> Paces:
    """Compare two documents; nothing is known when they are of two runs, or not in order."""
    if earlier is None or earlier.run != later.run:
        return Paces()
    seconds = later.at - earlier.at
    if not 0 < seconds < float("inf"):
        return Paces()
    found = Paces(seconds)
    before = named(earlier)
    for name, endpoint in named(later).items():
        if name in before:
            found.endpoints[name] = pace(before[name], endpoint, seconds)
    workers = {each.pid: each for each in earlier.workers}
    for worker in later.workers:
        known = workers.get(worker.pid)
        if known is None:
            continue
        found.calls[worker.pid] = rate(known.calls, worker.calls, seconds)
        if worker.cpu is not None and known.cpu is not None:
            found.cpu[worker.pid] = rate(known.cpu, worker.cpu, seconds)
    return found


def pace(earlier: Endpoint, later: Endpoint, seconds: float) -> Pace:
    """Return how fast an endpoint was called between two documents."""
    taken = between(earlier.latency, later.latency)
    return Pace(
        rate(earlier.count, later.count, seconds),
        rate(earlier.error, later.error, seconds),
        rate(earlier.refused, later.refused, seconds),
        quantile(taken, 0.5),
        quantile(taken, 0.99),
    )


def rate(earlier: float, later: float, seconds: float) -> float:
    """Return what came, a second. A count that went back was begun anew: all of it came.

    >>> rate(10, 16, 2.0), rate(10, 4, 2.0)
    (3.0, 2.0)
    """
    return (later if later < earlier else later - earlier) / seconds


def between(earlier: Latency, later: Latency) -> list[tuple[float, int]]:
    """Return the buckets of the calls between two documents, ascending.

    >>> between(
    ...     Latency(1, 0.1, None, None, None, [(0.1, 1)]),
    ...     Latency(3, 0.6, None, None, None, [(0.1, 2), (0.4, 1)]),
    ... )
    [(0.1, 1), (0.4, 1)]
    """
    before = dict(earlier.buckets) if later.count >= earlier.count else {}
    came = ((upper, count - before.get(upper, 0)) for upper, count in later.buckets)
    return [(upper, count) for upper, count in came if count > 0]


def quantile(buckets: Iterable[tuple[float, int]], share: float) -> float | None:
    """Return the seconds that a share of the calls took at most, to 4 %; None without calls."""
    found = list(buckets)
    left = share * sum(count for _, count in found)
    for upper, count in found:
        left -= count
        if left <= 0:
            return upper / _HALF_A_BUCKET
    return None


def named(state: State) -> dict[Name, Endpoint]:
    """Return every endpoint of a document: ours, and those that we call."""
    ours = {("", each.method, each.path, each.name): each for each in state.endpoints}
    return ours | {
        (service.name, each.method, each.path, each.name): each
        for service in state.services
        for each in service.endpoints
    }
