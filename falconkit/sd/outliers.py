"""Members that fail again and again are sent away for a while."""

from __future__ import annotations

from dataclasses import dataclass

from falconkit.errors import (
    CircuitOpen,
    ConfigurationError,
    OutcomeUnknown,
    RateLimited,
    Refused,
    UpstreamFailed,
    UpstreamUnavailable,
)
from falconkit.sd.member import Member
from falconkit.sd.policy import Members

_FORGIVEN_IN = 10.0
"""Seconds without trouble for which one past ejection is forgotten: Envoy's sweep."""


@dataclass(frozen=True, slots=True)
class Outliers:
    """When a member is ejected, for how long, and how many at once; Envoy's numbers.

    Attributes:
        after: Failures in a row.
        seconds: For how long, times the number of its ejections.
        longest: The longest, in seconds.
        share: Of all members, how many may be away at once; one may always, of two or more.

    >>> Outliers(after=0)
    Traceback (most recent call last):
    falconkit.errors.ConfigurationError: after is 1 or more failures, got 0

    Raises:
        ConfigurationError: A number cannot be used.
    """

    after: int = 5
    seconds: float = 30.0
    longest: float = 300.0
    share: float = 0.1

    def __post_init__(self) -> None:
        if self.after < 1:
            raise ConfigurationError(f"after is 1 or more failures, got {self.after!r}")
        if not 0 < self.seconds <= self.longest <= 86_400:
            raise ConfigurationError(
                "seconds is over 0 and no more than longest, which is a day at most, "
                f"got {self.seconds!r} and {self.longest!r}"
            )
        if not 0 <= self.share <= 1:
            raise ConfigurationError(f"share is 0 to 1, got {self.share!r}")

    def eject(self, member: Member, members: Members, now: float) -> float:
        """Eject ``member`` unless too many are away; returns for how many seconds, 0.0 if not.

        One thread at a time may call this.
        """
        if member.ejected_until > now:
            return 0.0  # a call that was running when it was sent away
        away = sum(each.ejected_until > now for each in members)
        allowed = max(1, int(self.share * len(members))) if len(members) > 1 else 0
        if away >= allowed:
            return 0.0
        quiet = now - member.ejected_until if member.ejected_until else 0.0
        member.ejections = max(0, member.ejections - int(quiet / _FORGIVEN_IN)) + 1
        seconds = min(self.longest, self.seconds * member.ejections)
        member.ejected_until = now + seconds
        member.streak = 0
        return seconds


def at_fault(error: BaseException) -> bool:
    """Return whether a failure counts against the instance that was asked: the default.

    Transport failures do, answers of 500 and above, and a breaker around the instance
    that is open. What the caller did wrong does not: 4xx, a rate limit, a deadline
    that was over before the call.

    >>> from falconkit.errors import DecodeError, UpstreamTimeout
    >>> at_fault(UpstreamTimeout("late")), at_fault(DecodeError("$.v: expected int, got str"))
    (True, False)
    """
    if isinstance(error, UpstreamFailed):
        return error.status is None or error.status >= 500
    if isinstance(error, Refused):
        # 503 when it came from there; our own refusal tells of us, but for the breaker's.
        there = error.upstream is not None and not isinstance(error, RateLimited)
        return there or isinstance(error, CircuitOpen)
    return isinstance(error, OutcomeUnknown | OSError)


def answered(error: BaseException) -> bool:
    """Return whether the instance did answer, be it that the caller was wrong."""
    return getattr(error, "upstream", None) is not None


def was_sent(error: BaseException) -> bool:
    """Return whether an instance may have seen the call that raised this.

    >>> from falconkit.errors import UpstreamTimeout
    >>> was_sent(UpstreamUnavailable("connection refused")), was_sent(CircuitOpen())
    (False, False)
    >>> was_sent(UpstreamUnavailable("busy", status=503)), was_sent(UpstreamTimeout("late"))
    (True, True)
    """
    if isinstance(error, UpstreamUnavailable):
        return error.status is not None or error.perhaps_run
    return not isinstance(error, Refused) or error.upstream is not None
