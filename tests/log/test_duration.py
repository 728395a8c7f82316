import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit.log.duration import go_duration


@pytest.mark.parametrize(
    ("nanoseconds", "expected"),
    [  # the table of Go's own test of Duration.String, and the article's
        (0, "0s"),
        (1, "1ns"),
        (1_100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (3_300_000_000, "3.3s"),
        (4 * 60 * 10**9 + 5 * 10**9, "4m5s"),
        (4 * 60 * 10**9 + 5_001_000_000, "4m5.001s"),
        (5 * 3600 * 10**9 + 6 * 60 * 10**9 + 7_001_000_000, "5h6m7.001s"),
        (8 * 60 * 10**9 + 1, "8m0.000000001s"),
        (-1, "-1ns"),
        (-1_100, "-1.1µs"),
        (-65 * 10**9, "-1m5s"),
        (-3600 * 10**9, "-1h0m0s"),
        (30_206, "30.206µs"),
        (999, "999ns"),
        (1_000, "1µs"),
        (999_999, "999.999µs"),
        (999_999_999, "999.999999ms"),
        (10**9, "1s"),
        (59_999_999_999, "59.999999999s"),
        (60 * 10**9, "1m0s"),
        (3_600 * 10**9, "1h0m0s"),
        (1_000_010, "1.00001ms"),
    ],
)
def test_as_go_prints_it(nanoseconds: int, expected: str) -> None:
    assert go_duration(nanoseconds / 1e9) == expected


_UNITS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "µs": 10**3, "ns": 1}


@given(st.integers(0, 10**15))
def test_it_reads_back(nanoseconds: int) -> None:
    text = go_duration(nanoseconds / 1e9)
    parts = re.findall(r"(\d+)(?:\.(\d+))?(h|ms|m|µs|ns|s)", text)
    total = sum(
        int(whole) * _UNITS[unit] + (int(part.ljust(9, "0")) * _UNITS[unit] // 10**9 if part else 0)
        for whole, part, unit in parts
    )
    assert total == nanoseconds
    assert "".join(f"{w}{'.' if p else ''}{p}{u}" for w, p, u in parts) == text
