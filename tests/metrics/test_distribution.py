from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit.metrics import Distribution
from falconkit.metrics.distribution import ERROR, HIGHEST, LOWEST, TOP, bucket_of, value_of
from falconkit.metrics.timings import timings

SIZES = st.floats(LOWEST, HIGHEST)
MANY = st.lists(SIZES, min_size=1, max_size=200)
QUANTILE = st.floats(0, 1)


@given(SIZES)
def test_a_bucket_speaks_for_its_values_to_one_percent(value: float) -> None:
    assert abs(value_of(bucket_of(value)) - value) <= ERROR * value * (1 + 1e-9)


@given(MANY, QUANTILE)
def test_any_quantile_is_right_to_one_percent(values: list[float], q: float) -> None:
    want = sorted(values)[max(0, math.ceil(q * len(values) - 1e-9) - 1)]
    got = Distribution.of(values).quantile(q)
    assert got is not None
    assert abs(got - want) <= ERROR * want * (1 + 1e-9)


@given(MANY, MANY)
def test_merged_is_the_same_as_observed_together(one: list[float], other: list[float]) -> None:
    merged = Distribution.of(one)
    merged.merge(Distribution.of(other))
    together = Distribution.of(one + other)
    assert merged.buckets == together.buckets
    assert merged.sum == pytest.approx(together.sum)
    assert merged.count == len(one) + len(other)


def test_quantiles_of_a_hundred() -> None:
    seen = Distribution.of([float(n) for n in range(1, 101)])
    for q, want in ((0.0, 1), (0.07, 7), (0.5, 50), (0.9, 90), (0.99, 99), (1.0, 100)):
        assert seen.quantile(q) == pytest.approx(want, rel=ERROR)


@pytest.mark.parametrize("q", [-0.1, 1.1, math.nan])
def test_no_quantile_beyond_the_values(q: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        Distribution.of([1.0]).quantile(q)


def test_nothing_observed_has_no_quantile() -> None:
    assert Distribution().quantile(0.5) is None
    assert list(timings(Distribution(), 100)) == []


@pytest.mark.parametrize(
    ("value", "bucket"),
    [(0.0, 0), (-1.0, 0), (LOWEST / 2, 0), (LOWEST, 1), (HIGHEST, TOP), (1e300, TOP)],
)
def test_ends_of_the_range(value: float, bucket: int) -> None:
    assert bucket_of(value) == bucket


def test_what_is_too_small_to_tell_counts_as_nothing() -> None:
    assert value_of(0) == 0.0
    assert value_of(TOP) == pytest.approx(HIGHEST, rel=0.02)


def test_buckets_are_a_few_thousand_at_most() -> None:
    assert TOP == 2418


@given(st.lists(st.integers(1, 2000), min_size=1, max_size=50), st.integers(1, 120))
def test_timings_stand_for_all_observations(counts: list[int], most: int) -> None:
    seen = Distribution(dict(enumerate(counts)))
    picked = list(timings(seen, most))
    assert sum(n for _, n in picked) == seen.count
    assert len(picked) == min(most, seen.count)
    assert max(n for _, n in picked) - min(n for _, n in picked) <= 1
    assert [value for value, _ in picked] == sorted(value for value, _ in picked)


def test_timings_are_the_middles_of_their_ranks() -> None:
    seen = Distribution.of([float(n) for n in range(1, 10)])
    assert [(round(value), n) for value, n in timings(seen, 3)] == [(2, 3), (5, 3), (8, 3)]
    assert [n for _, n in timings(seen, 9)] == [1] * 9
    assert [n for _, n in timings(seen, 4)] == [3, 2, 2, 2]


def test_equality_and_display() -> None:
    assert Distribution.of([1.0]) == Distribution.of([1.0])
    assert Distribution.of([1.0]) != Distribution.of([2.0])
    assert Distribution() != 0
    assert repr(Distribution.of([2.0])).startswith("Distribution(count=1, sum=2.0, p50=")
