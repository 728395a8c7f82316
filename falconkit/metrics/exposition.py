"""Prometheus' two text formats: 0.0.4, and OpenMetrics 1.0."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from falconkit.metrics.exemplars import Exemplar
from falconkit.metrics.sample import Kind

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})
_HELP_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n"})


class Bucket(NamedTuple):
    """How many observations are at most ``bound``, and one of those over the bound before."""

    bound: float
    held: int
    exemplar: Exemplar | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """One series as it is shown.

    Attributes:
        labels: Written out by `label_text`.
        value: The number; of a histogram the sum.
        buckets: Of a histogram, the last one endless.
    """

    labels: str
    value: float
    buckets: Sequence[Bucket] = ()


@dataclass(frozen=True, slots=True)
class Family:
    """The series of one metric.

    Attributes:
        name: Without a counter's ``_total``.
        unit: In OpenMetrics' words, or ``""``; the name ends by it.
    """

    name: str
    kind: Kind
    help: str
    unit: str
    points: Sequence[Point]


def label_text(labels: Iterable[tuple[str, str]]) -> str:
    r"""Return labels as they stand within the braces.

    >>> print(label_text([("path", 'C:\\"x"')]))
    path="C:\\\"x\""
    """
    return ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels)


def text(families: Iterable[Family]) -> str:
    """Return the text format 0.0.4.

    >>> print(text([Family("calls", "counter", "Calls.", "", [Point("", 3.0)])]), end="")
    # HELP calls_total Calls.
    # TYPE calls_total counter
    calls_total 3.0
    """
    return "".join(
        f"# HELP {_titled(each)} {each.help.translate(_HELP_ESCAPES)}\n"
        f"# TYPE {_titled(each)} {each.kind}\n" + "".join(_lines(each, exemplars=False))
        for each in families
    )


def open_metrics(families: Iterable[Family]) -> str:
    """Return OpenMetrics 1.0, which has exemplars and units.

    >>> print(open_metrics([Family("calls", "counter", "Calls.", "", [Point("", 3.0)])]), end="")
    # TYPE calls counter
    # HELP calls Calls.
    calls_total 3.0
    # EOF
    """
    written = "".join(
        f"# TYPE {each.name} {each.kind}\n"
        + (f"# UNIT {each.name} {each.unit}\n" if each.unit else "")
        + f"# HELP {each.name} {each.help.translate(_ESCAPES)}\n"
        + "".join(_lines(each, exemplars=True))
        for each in families
    )
    return f"{written}# EOF\n"


def _titled(family: Family) -> str:
    return f"{family.name}_total" if family.kind == "counter" else family.name


def _lines(family: Family, *, exemplars: bool) -> Iterator[str]:
    if family.kind == "histogram":
        for point in family.points:
            yield from _histogram(family.name, point, exemplars)
        return
    name = _titled(family)
    for point in family.points:
        yield f"{name}{_braced(point.labels)} {number(point.value)}\n"


def _histogram(name: str, point: Point, exemplars: bool) -> Iterator[str]:
    before = f"{point.labels}," if point.labels else ""
    for bound, held, exemplar in point.buckets:
        told = ""
        if exemplars and exemplar is not None:
            labels = label_text([("trace_id", exemplar.trace_id)])
            told = f" # {{{labels}}} {number(exemplar.value)} {exemplar.at:.3f}"
        yield f'{name}_bucket{{{before}le="{_bound(bound)}"}} {held}{told}\n'
    labels = _braced(point.labels)
    yield f"{name}_count{labels} {point.buckets[-1].held}\n"
    yield f"{name}_sum{labels} {number(point.value)}\n"


def _braced(labels: str) -> str:
    return f"{{{labels}}}" if labels else ""


@lru_cache(maxsize=1024)
def _bound(value: float) -> str:
    """Write a bucket's bound, of which there are few, each in many lines."""
    return number(value)


def number(value: float) -> str:
    """Return a number as both formats write it.

    >>> number(0.25), number(float("inf"))
    ('0.25', '+Inf')
    """
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else ("+Inf" if value > 0 else "-Inf")
