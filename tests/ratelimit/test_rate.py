from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit.errors import ConfigurationError
from falconkit.ratelimit import Rate


@pytest.mark.parametrize(
    ("text", "amount", "period", "interval"),
    [
        ("30/minute", 30, 60, 2.0),
        ("1 per 2 second", 1, 2, 2.0),
        ("50/second", 50, 1, 0.02),
        ("10 per 2 hours", 10, 7200, 720.0),
        ("1000000/second", 1_000_000, 1, 1e-6),
        ("1/day", 1, 86_400, 86_400.0),
        (" 5 / MINUTE ", 5, 60, 12.0),
    ],
)
def test_reads_the_notation_of_limits(text: str, amount: int, period: int, interval: float) -> None:
    rate = Rate.parse(text)
    assert (rate.amount, rate.period, rate.burst) == (amount, period, amount)
    assert rate.interval == interval


def test_a_burst_is_the_amount_unless_it_is_given() -> None:
    assert str(Rate.parse("1 per 2 second")) == "1 per 2 second"
    rate = Rate.parse("1 per 2 second", burst=10)
    assert (rate.burst, rate.interval, str(rate)) == (10, 2.0, "1 per 2 second, burst 10")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "write it as '30/minute'"),
        ("fast", "write it as"),
        ("1", "write it as"),
        ("1/fortnight", "write it as"),
        ("-1/second", "write it as"),
        ("1.5/second", "write it as"),
        (None, "write it as"),
        (30, "write it as"),
        ("9" * 5000 + "/second", "write it as"),
        ("1/second; 30/minute", "which are 2 rates"),
        ("0/second", "neither number in it can be 0"),
        ("1 per 0 second", "neither number in it can be 0"),
        ("1/00second", "neither number in it can be 0"),
        ("1000001/second", "over 1,000,000 calls a second"),
    ],
)
def test_says_what_is_wrong_with_a_rate(text: str, why: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        Rate.parse(text, variable="RATE_LIMIT")
    assert "the rate in RATE_LIMIT is " in str(error.value)
    assert why in str(error.value)
    assert repr(text) in str(error.value)


@pytest.mark.parametrize("burst", [0, -1, 1.5, True, "5"])
def test_says_what_is_wrong_with_a_burst(burst: int) -> None:
    with pytest.raises(ConfigurationError) as error:
        Rate.parse("1/second", burst=burst, burst_variable="RATE_BURST")
    assert str(error.value) == (
        f"the burst in RATE_BURST is {burst!r}: give a whole number of calls, 1 or more"
    )


def test_a_burst_must_come_back_in_a_lifetime() -> None:
    assert Rate.parse("1/second", burst=10**9).burst == 10**9
    with pytest.raises(ConfigurationError, match="takes over 31 years to come back"):
        Rate.parse("1/second", burst=10**9 + 1)


@given(st.text(max_size=30))
def test_any_text_is_a_rate_or_a_configuration_error(text: str) -> None:
    try:
        rate = Rate.parse(text)
    except ConfigurationError:
        return
    assert 1e-6 <= rate.interval <= 1e9
    assert rate.burst >= 1
