"""What every metrics backend must do, as a suite: feed values, read back what arrived."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from falconkit.metrics.registry import Metrics
from falconkit.metrics.sample import Labels

Quantile = Callable[[float], float | None]


@dataclass(frozen=True, slots=True)
class Arrived:
    """What a backend's receiver has, by the names that it has it under.

    Attributes:
        counters: Name to all that was counted.
        gauges: Name to the value now.
        counts: Histogram's name to the number of observations.
        quantiles: Histogram's name to a function of q, in the unit that was observed.
    """

    counters: Mapping[str, float] = field(default_factory=dict)
    gauges: Mapping[str, float] = field(default_factory=dict)
    counts: Mapping[str, float] = field(default_factory=dict)
    quantiles: Mapping[str, Quantile] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Subject:
    """A backend under test, attached to fresh metrics.

    Attributes:
        metrics: What the backend was added to; nothing was counted yet.
        read: Waits until what was flushed has arrived, and returns it all.
        name_of: The receiver's name of a series, or of the sum of a metric
            when there are no labels.
        counts: False when the receiver cannot tell how many observations there were.
        quantiles: False when the receiver cannot tell quantiles.
    """

    metrics: Metrics
    read: Callable[[], Arrived]
    name_of: Callable[[str, Labels], str]
    counts: bool = True
    quantiles: bool = True


def a_counter_arrives_whole(subject: Subject) -> None:
    """Any additions, over several flushes, arrive as their sum and not twice."""
    rng = random.Random(3)
    counter = subject.metrics.counter("conform.counter")
    values = rng.sample(range(100), 60)
    for at, value in enumerate(values):
        counter.add(value)
        if at % 20 == 0:
            subject.metrics.flush()
    subject.metrics.flush()
    subject.metrics.flush()
    _equal(subject.read().counters, subject.name_of("conform.counter", ()), sum(values))


def labels_arrive_each_and_in_all(subject: Subject) -> None:
    """Each series has its own count, and the metric has the sum."""
    counter = subject.metrics.counter("conform.labels", ("endpoint", "outcome"))
    counter.labels("add", "ok").add(3)
    counter.labels("add", "refused").add()
    counter.labels(endpoint="get", outcome="ok").add(5)
    subject.metrics.flush()
    arrived = subject.read().counters
    add_ok = (("endpoint", "add"), ("outcome", "ok"))
    refused = (("endpoint", "add"), ("outcome", "refused"))
    _equal(arrived, subject.name_of("conform.labels", add_ok), 3)
    _equal(arrived, subject.name_of("conform.labels", refused), 1)
    _equal(arrived, subject.name_of("conform.labels", ()), 9)


def many_series_arrive_each(subject: Subject) -> None:
    """200 series of one flush arrive, each with its own count, whatever they are packed into."""
    counter = subject.metrics.counter("conform.many", ("who",))
    for number in range(200):
        counter.labels(f"caller-{number}").add(number + 1)
    subject.metrics.flush()
    arrived = subject.read().counters
    for number in range(200):
        name = subject.name_of("conform.many", (("who", f"caller-{number}"),))
        _equal(arrived, name, number + 1)
    _equal(arrived, subject.name_of("conform.many", ()), 200 * 201 / 2)


def a_gauge_is_what_it_is_now(subject: Subject) -> None:
    """The last value counts, negative ones and fractions too; a flush does not forget it."""
    gauge = subject.metrics.gauge("conform.gauge")
    name = subject.name_of("conform.gauge", ())
    for value in (5.0, -7.5, -3.0, 0.25, 0.0):
        gauge.set(value)
        subject.metrics.flush()
        _equal(subject.read().gauges, name, value)
    gauge.add(4)
    subject.metrics.flush()
    gauge.add(-6)
    subject.metrics.flush()
    _equal(subject.read().gauges, name, -2)


def quantiles_are_right(subject: Subject) -> None:
    """12,345 normal values: the receiver's quantiles are within 2 %, and none is lost."""
    rng = random.Random(5)
    histogram = subject.metrics.histogram("conform.seconds")
    values = sorted(max(0.0, rng.gauss(0.5, 0.025)) for _ in range(12_345))
    for value in values:
        histogram.observe(value)
    subject.metrics.flush()
    arrived, name = subject.read(), subject.name_of("conform.seconds", ())
    for q in (0.5, 0.9, 0.95) if subject.quantiles else ():
        got, want = arrived.quantiles[name](q), values[int(q * len(values))]
        _hold(got is not None and abs(got - want) <= 0.02 * want, f"q{q} is {got}, not {want}")
    if subject.counts:
        _equal(arrived.counts, name, 12_345)


def nothing_is_told_of_what_was_not_observed(subject: Subject) -> None:
    """A histogram without values gives no quantile: neither -1 nor NaN nor 0."""
    subject.metrics.histogram("conform.empty")
    subject.metrics.flush()
    quantile = subject.read().quantiles.get(subject.name_of("conform.empty", ()))
    _hold(quantile is None or quantile(0.5) is None, "an empty histogram has a quantile")


def hostile_labels_break_nothing(subject: Subject) -> None:
    """No label's value can pass for another metric, nor stop the others from arriving."""
    counter = subject.metrics.counter("conform.hostile", ("who",))
    values = ["a\nforged:1|c", "b|c\nforged:1|g", "\x00\x1b[2J", "\ud800", "é" * 500, "", " "]
    for value in values:
        counter.labels(value).add()
    subject.metrics.flush()
    arrived = subject.read()
    _equal(arrived.counters, subject.name_of("conform.hostile", ()), len(values))
    told = {*arrived.counters, *arrived.gauges}
    _hold(not any(name.startswith("forged") for name in told), f"forged: {told}")


LAWS: tuple[Callable[[Subject], None], ...] = (
    a_counter_arrives_whole,
    labels_arrive_each_and_in_all,
    many_series_arrive_each,
    a_gauge_is_what_it_is_now,
    quantiles_are_right,
    nothing_is_told_of_what_was_not_observed,
    hostile_labels_break_nothing,
)
"""The laws one by one, for ``pytest.mark.parametrize``; each takes a fresh `Subject`."""


def _equal(got: Mapping[str, float], name: str, want: float) -> None:
    _hold(name in got, f"{name} did not arrive; there are {sorted(got)}")
    _hold(abs(got[name] - want) < 1e-6, f"{name} arrived as {got[name]}, not {want}")


def _hold(law: bool, broken: str) -> None:
    if not law:
        raise AssertionError(broken)
