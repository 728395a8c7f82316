"""What a panel asks for, whatever store answers it."""

from __future__ import annotations

from dataclasses import dataclass

from falconkit.dashboards.published import Metric

Where = tuple[tuple[str, tuple[str, ...]], ...]
"""Labels, each with the values that count."""


@dataclass(frozen=True, slots=True)
class Rate:
    """How much a counter grows in a second, of all hosts.

    Attributes:
        metric: Which counter.
        legend: What the line is called; where ``by`` is given, what stands before its values.
        where: Which of its series count; all when empty.
        by: The labels by whose values there is a line each; one line when empty.
    """

    metric: Metric
    legend: str = ""
    where: Where = ()
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Level:
    """What a gauge says, added up over hosts; the attributes are `Rate`'s."""

    metric: Metric
    legend: str = ""
    where: Where = ()
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile of a histogram; the other attributes are `Rate`'s.

    Attributes:
        q: As in 0.99.
    """

    metric: Metric
    q: float
    legend: str = ""
    where: Where = ()
    by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Share:
    """One number in parts of another; both are one line, or a line each by the same label.

    Attributes:
        part: The one.
        whole: The other.
    """

    part: Rate | Level
    whole: Rate | Level


Query = Rate | Level | Quantile | Share
