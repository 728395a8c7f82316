"""How often: the notation of `limits`, as in ``30/minute`` or ``1 per 2 second``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

import limits

from falconkit.errors import ConfigurationError

_FASTEST = 1e6  # a float of seconds tells no more tokens a second apart
_LONGEST = 1e9  # seconds, some 31 years: what an engine takes as an expiry
_NO_TIME = re.compile(r"(/|per)\s*0+\s*[a-z]", re.IGNORECASE)


class RateSettings(Protocol):
    """The part of `falconkit.settings.Settings` that a limiter is made from."""

    @property
    def rate_limit(self) -> str:
        """``RATE_LIMIT``."""

    @property
    def rate_burst(self) -> int | None:
        """``RATE_BURST``."""

    @property
    def rate_storage(self) -> str:
        """``RATE_STORAGE``."""

    @property
    def service_name(self) -> str:
        """``SERVICE_NAME``."""


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls a period, and how many of them may come at once.

    >>> Rate.parse("50/second").burst
    50
    >>> Rate.parse("1 per 2 second").interval
    2.0
    >>> print(Rate.parse("30/minute", burst=5))
    30 per 1 minute, burst 5

    Attributes:
        amount: Calls in a period.
        period: The period, in seconds.
        burst: Calls that may come at once after a rest: what the bucket holds.
        text: The rate as `limits` writes it.
    """

    amount: int
    period: int
    burst: int
    text: str

    @property
    def interval(self) -> float:
        """Seconds until one more call may come."""
        return self.period / self.amount

    def __str__(self) -> str:
        return self.text if self.burst == self.amount else f"{self.text}, burst {self.burst}"

    @classmethod
    def parse(
        cls,
        text: str,
        *,
        burst: int | None = None,
        variable: str = "",
        burst_variable: str = "",
    ) -> Rate:
        """Read a rate in the notation of `limits`.

        Args:
            text: As in ``30/minute``, ``1 per 2 second``.
            burst: Calls that may come at once; those of a whole period when None.
            variable: Where ``text`` was read from, for the error.
            burst_variable: Where ``burst`` was read from, for the error.

        Raises:
            ConfigurationError: It is no rate, or not one that can be kept. The
                message has the value and, when given, the variable.
        """
        item = item_of(text, variable)
        if burst is None:
            burst = item.amount
        elif not isinstance(burst, int) or isinstance(burst, bool) or burst < 1:
            raise ConfigurationError(
                f"{_named('the burst', burst_variable)} is {burst!r}: "
                "give a whole number of calls, 1 or more"
            )
        rate = cls(item.amount, item.get_expiry(), burst, repr(item))
        if burst * rate.interval > _LONGEST:
            raise ConfigurationError(
                f"{_named('the burst', burst_variable)} of {burst} at {text!r} takes over 31 "
                "years to come back: give a smaller burst or a higher rate"
            )
        return rate


def item_of(text: str, variable: str = "") -> limits.RateLimitItem:
    """Return the rate as `limits` has it.

    Raises:
        ConfigurationError: As `Rate.parse` says.
    """
    name = _named("the rate", variable)
    try:
        items = limits.parse_many(text)
    except ValueError:
        raise ConfigurationError(
            f"{name} is {text!r}: write it as '30/minute' or '1 per 2 second'"
        ) from None
    if len(items) != 1:
        raise ConfigurationError(
            f"{name} is {text!r}, which are {len(items)} rates: give one, "
            "and a limiter of its own to each of the others"
        )
    item = items[0]
    if item.amount < 1 or _NO_TIME.search(text):
        raise ConfigurationError(f"{name} is {text!r}: neither number in it can be 0")
    if item.amount > item.get_expiry() * _FASTEST:
        raise ConfigurationError(
            f"{name} is {text!r}: over {_FASTEST:,.0f} calls a second cannot be told apart; "
            "leave the limiter out where nothing is to be limited"
        )
    return item


def _named(what: str, variable: str) -> str:
    return f"{what} in {variable}" if variable else what
