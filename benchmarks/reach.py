"""What was to be reached, whether it was, and what bounds it where it was not."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.section import Table

Facts = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Goal:
    """One row.

    Attributes:
        measure: What was measured.
        reach: In words.
        fact: The name of the figure.
        shown: How it is written.
        is_reached: Judges it, with the others beside it.
        bound: What bounds it; said when it is not reached.
    """

    measure: str
    reach: str
    fact: str
    shown: str
    is_reached: Callable[[float, Facts], bool]
    bound: str


def _least(bound: float) -> Callable[[float, Facts], bool]:
    return lambda value, facts: value >= bound


def _most(bound: float) -> Callable[[float, Facts], bool]:
    return lambda value, facts: value <= bound


GOALS = (
    Goal(
        "full stack under gunicorn / bare Falcon with media",
        ">= 1.0, try for 1.1",
        "full stack / bare Falcon",
        "{:.2f}",
        _least(1.0),
        "gunicorn's own work, which is most of a request: its parser, the environ, two threads.",
    ),
    Goal(
        "full stack in process / bare Falcon with media",
        "<= 0.75",
        "in process",
        "{:.2f}",
        _most(0.75),
        "The interpreter. Falcon's part is left out and msgspec's is small; what is left is "
        "some 90 calls of functions, of which the chain has 40 (see the table of layers); the "
        "rest is the request id, the header fields, the table of requests in flight and the "
        "checks of body and head, which are not traded for speed. Bare Falcon makes 55.",
    ),
    Goal(
        "what the middlewares add a request, µs",
        "<= 4",
        "added",
        "{:.1f}",
        _most(4.0),
        "The line of the log is most of it: a time of day, a JSON text and a system call; then "
        "the arena's lock and a clock to read twice for each layer that measures.",
    ),
    Goal(
        "what the middlewares add / what Go-kit's whole stack adds to net/http under load",
        "< 0.5",
        "added / gokit's stack",
        "{:.2f}",
        _most(0.5),
        "As above.",
    ),
    Goal(
        "what the middlewares add / what Go-kit's own add in Go",
        "< 0.5",
        "added / gokit added",
        "{:.2f}",
        _most(0.5),
        "As above.",
    ),
    Goal(
        "full stack under Granian / Go-kit's full stack, one core each",
        ">= 0.7",
        "full stack under Granian / Go-kit's full stack",
        "{:.2f}",
        _least(0.7),
        "Granian's way into Python: bare Falcon, and an app that only answers, stand beside it in "
        "the table with theirs. What is between the latter's and ours is a request in process.",
    ),
    Goal(
        "two workers / one worker on one limiter key",
        ">= 1.8 on 3 cores or more",
        "workers",
        "{:.2f}",
        _least(1.8),
        "The machine's cores, and the arena's lock.",
    ),
    Goal(
        "the same, as the limiter's own share of whole requests in process",
        ">= 0.9",
        "share a whole request",
        "{:.2f}",
        _least(0.9),
        "The cache line of the bucket and of its lock, which moves between the cores.",
    ),
    Goal(
        "neighbour's p99 at the limiter, its own threads idle, µs",
        "<= 50",
        "p99 ours 0",
        "{:,.0f}",
        _most(50.0),
        "The kernel: whether it runs the thread when it wakes.",
    ),
    Goal(
        "neighbour's p99 at the limiter, 3 of its 4 threads compute, µs",
        "<= 50",
        "p99 ours 3",
        "{:,.0f}",
        _most(50.0),
        "Cold caches after the others' work on the core, and the kernel, which may run something "
        "else: a bucket without any lock stands beside it in the table.",
    ),
    Goal(
        "Redis admission / arena admission",
        ">= 50",
        "redis / arena",
        "{:.0f}",
        _least(50.0),
        "Redis' round trip on this machine.",
    ),
    Goal(
        "limiter keys: bytes a key",
        "<= 48",
        "bytes a key",
        "{:.1f}",
        _most(48.0),
        "How full the last segment is at this number of keys.",
    ),
    Goal(
        "limiter keys: the longest pause of a call while they are added, ms",
        "<= 5",
        "longest pause",
        "{:.1f}",
        lambda value, facts: value <= 5.0,
        "The table of keys tells how much of it the call computed. A segment of cells is made in "
        "1 ms; what is more is the machine's, and another in each run.",
    ),
    Goal(
        "metrics increment by its labels, 1,000 series, µs",
        "<= 0.5",
        "increment 1000",
        "{:.2f}",
        _most(0.5),
        "The look-up of a thousand label texts misses the cache.",
    ),
)


def table(facts: dict[str, float]) -> Table:
    """Return the report's first table."""
    known = dict(facts)
    if "added" in facts and "gokit added" in facts:
        known["added / gokit added"] = facts["added"] / facts["gokit added"]
    try:
        rates = facts["rate of Go-kit's full stack"], facts["rate of Go's net/http alone"]
        known["added / gokit's stack"] = facts["added"] / (1e6 / rates[0] - 1e6 / rates[1])
    except (KeyError, ZeroDivisionError):
        pass
    reached = Table(
        "What was to be reached", ["measure", "reach", "here", "reached", "what bounds it"]
    )
    for goal in GOALS:
        value = known.get(goal.fact)
        if value is None:
            cores = len(os.sched_getaffinity(0))
            why = f"{cores} cores" if goal.fact == "workers" and cores < 3 else "not measured"
            reached.rows.append([goal.measure, goal.reach, why, "", ""])
            continue
        well = goal.is_reached(value, known)
        reached.rows.append(
            [
                goal.measure,
                goal.reach,
                goal.shown.format(value),
                "yes" if well else "**no**",
                "" if well else goal.bound,
            ]
        )
    return reached
