"""Objectives, and when their error budget burns too fast."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from falconkit.errors import ConfigurationError

PERIOD_HOURS: Final = 30 * 24
"""The budget is that of 30 days."""


@dataclass(frozen=True, slots=True)
class Burn:
    """An alert on a part of the budget that is spent in some time.

    Both windows have to burn: the long one so that a blip wakes nobody, the short one, a
    twelfth of it, so that the alert ends soon after what caused it.

    Attributes:
        severity: ``page`` or ``ticket``.
        spent: The part of the budget that is gone when it fires.
        hours: The long window.
        long: The same as Prometheus writes it.
        short: The short window.
    """

    severity: str
    spent: Fraction
    hours: int
    long: str
    short: str

    @property
    def rate(self) -> float:
        """How many times faster the budget is spent than it would last for 30 days.

        >>> [each.rate for each in BURNS]
        [14.4, 6.0, 3.0, 1.0]
        """
        return float(self.spent * PERIOD_HOURS / self.hours)


# The Site Reliability Workbook (Google, 2018), chapter 5, table 5-8: multiwindow, multi-burn-rate.
BURNS: Final = (
    Burn("page", Fraction(2, 100), 1, "1h", "5m"),
    Burn("page", Fraction(5, 100), 6, "6h", "30m"),
    Burn("ticket", Fraction(10, 100), 24, "1d", "2h"),
    Burn("ticket", Fraction(10, 100), 72, "3d", "6h"),
)

WINDOWS: Final = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")
"""Every window of these, the shortest first."""


def budget(percent: float) -> float:
    """Return the share of calls that an objective lets fail.

    >>> budget(99.9)
    0.001
    >>> budget(90.0)
    Traceback (most recent call last):
    falconkit.errors.ConfigurationError: an objective of 90 % is so low that the fastest burn, ...

    Args:
        percent: The objective: so many of 100 calls are to be good.

    Raises:
        ConfigurationError: It is 100 or more, or so low that an alert could never fire.
    """
    fastest = max(each.rate for each in BURNS)
    share = round(1 - percent / 100, 9)
    if not 0 < share * fastest < 1:
        raise ConfigurationError(
            f"an objective of {percent:g} % "
            + (
                "leaves nothing to fail"
                if share <= 0
                else f"is so low that the fastest burn, {fastest:g} times its budget, can never "
                "be seen"
            )
            + f": give over {100 * (1 - 1 / fastest):.2f} and under 100"
        )
    return share
