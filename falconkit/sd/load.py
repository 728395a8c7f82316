"""Policies that send a call where there is least to do."""

from __future__ import annotations

import math
import random
from typing import Any

from falconkit.context import Context
from falconkit.errors import ConfigurationError
from falconkit.sd.member import Member
from falconkit.sd.policy import Members, Pick, draw

UNKNOWN = 1.0
"""Seconds that a member's first call is taken to last while it runs (tower's ``peak_ewma``)."""

FAILED = 0.1
"""Seconds that a failed call is taken to have lasted at least."""

ALIKE = 2.0
"""Latencies of which neither is so many times the other say nothing of who is the faster.

The peak of a fair number of calls is as far apart as that by chance alone: with them ranked
exactly four threads spread 8,000 calls of 1 ms over 8 equals by -29 to +21 %, and so by 6 %.
"""


class LeastInFlight:
    """The one with the fewest calls running; of several, the next by turns.

    Args:
        choices: How many, drawn by weight, are looked at. All when None, which costs 0.04 us
            for each of them at every call: right for a dozen, wrong for a thousand.

    Raises:
        ConfigurationError: ``choices`` is less than 2.
    """

    def __init__(self, choices: int | None = None) -> None:
        if choices is not None and choices < 2:
            raise ConfigurationError(f"the least is one of 2 or more, got choices={choices!r}")
        self._choices = choices

    def over(self, members: Members, rng: random.Random) -> Pick:
        """See `Policy.over`."""
        count = len(members)
        if self._choices is not None and self._choices < count:
            tries, index = self._choices, draw(members, rng)

            def pick_some(ctx: Context, request: Any, now: float) -> Member:
                return min([members[index()] for _ in range(tries)], key=_in_flight)

            return pick_some
        chance = rng.random

        def pick_all(ctx: Context, request: Any, now: float) -> Member:
            first = int(chance() * count)
            return min(members[first:] + members[:first], key=_in_flight)

        return pick_all

    def __repr__(self) -> str:
        return f"LeastInFlight(choices={self._choices!r})"


def _in_flight(member: Member) -> int:
    return member.in_flight


def _untried(member: Member) -> float:
    """Return what a call costs where not both latencies are known: 0.0 for one nobody asks yet."""
    return member.latency * (member.in_flight + 1) if member.latency else member.in_flight * UNKNOWN


class PeakEwma:
    """Power of two choices over a decaying peak of the latency: the default.

    Of two members drawn by weight it takes the one whose latency, times the calls that
    would then be running there, is less. Where neither latency is twice the other they count as
    equal: fewer calls running decide, then chance. The latency jumps up to one that is higher
    and decays while none is, so that a member which turns slow is left at once and comes
    back by and by. That is Finagle's ``p2cPeakEwma``, whose average decays at each
    choice; it has no such equals. A member not known yet is asked at once, by one call at a
    time. A failed call counts as one that took four times as long as the last, 0.1 s at least:
    failing fast must not look like being fast, nor like being equal.

    Args:
        decay: The seconds in which a past latency loses 63 % of its weight.

    Raises:
        ConfigurationError: ``decay`` cannot be used.
    """

    def __init__(self, decay: float = 10.0) -> None:
        if not 0.01 <= decay <= 3600:
            raise ConfigurationError(f"decay is 0.01 to 3600 s, got {decay!r}")
        self._decay = decay

    def over(self, members: Members, rng: random.Random) -> Pick:
        """See `Policy.over`."""
        if len(members) == 1:
            only = members[0]
            return lambda ctx, request, now: only
        lesser = self.lesser
        if len({each.instance.weight for each in members}) > 1:
            index = draw(members, rng)
            return lambda ctx, request, now: lesser(members[index()], members[index()])
        chance, count, others = rng.random, len(members), len(members) - 1

        def pick(ctx: Context, request: Any, now: float) -> Member:
            at = int(chance() * count)
            return lesser(members[at], members[(at + 1 + int(chance() * others)) % count])

        return pick

    def lesser(self, one: Member, other: Member) -> Member:
        """Return the one to which a further call costs less: latency times calls then running."""
        ours, theirs = one.latency, other.latency
        if not ours or not theirs:
            return other if _untried(other) < _untried(one) else one
        # Both have decayed since they were seen: what counts is which has for longer.
        apart = other.seen_at - one.seen_at
        if apart < 0.0:
            theirs *= math.exp(apart / self._decay)
        else:
            ours *= math.exp(-apart / self._decay)
        if ours < ALIKE * theirs and theirs < ALIKE * ours:
            ours = theirs
        return other if theirs * (other.in_flight + 1) < ours * (one.in_flight + 1) else one

    def observe(self, member: Member, elapsed: float, now: float, failed: bool) -> None:
        """See `Observer.observe`."""
        gone = max(0.0, now - member.seen_at)
        decayed = member.latency * math.exp(-gone / self._decay)
        if failed:
            elapsed = max(elapsed, 2 * ALIKE * decayed, FAILED)
        # Never 0.0, which says that it is not known.
        member.latency, member.seen_at = max(elapsed, decayed, 1e-9), now

    def __repr__(self) -> str:
        return f"PeakEwma(decay={self._decay!r})"
