"""Policies that do not look at how the members fare: by turns, by chance, by weight."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from typing import Any

from falconkit.context import Context
from falconkit.sd.member import Member
from falconkit.sd.policy import Members, Pick, draw


class RoundRobin:
    """By turns, exactly: n calls over n members are one each, however many threads call.

    The turn goes on over a change of the set. It begins at a place of chance, so that
    the workers of a host do not all begin with the same member.
    """

    def __init__(self) -> None:
        self._turns: Iterator[int] | None = None

    def over(self, members: Members, rng: random.Random) -> Pick:
        """See `Policy.over`."""
        if self._turns is None:
            self._turns = itertools.count(rng.randrange(1 << 20))
        # A turn is taken by one call into C, which no other thread comes between.
        turn, count = self._turns.__next__, len(members)

        def pick(ctx: Context, request: Any, now: float) -> Member:
            return members[turn() % count]

        return pick

    def __repr__(self) -> str:
        return "RoundRobin()"


class Weighted:
    """By chance, each as often as its weight says; by pure chance where all weigh the same."""

    def over(self, members: Members, rng: random.Random) -> Pick:
        """See `Policy.over`."""
        index = draw(members, rng)

        def pick(ctx: Context, request: Any, now: float) -> Member:
            return members[index()]

        return pick

    def __repr__(self) -> str:
        return "Weighted()"


class Random:
    """By chance, whatever the weights."""

    def over(self, members: Members, rng: random.Random) -> Pick:
        """See `Policy.over`."""
        chance, count = rng.random, len(members)

        def pick(ctx: Context, request: Any, now: float) -> Member:
            return members[int(chance() * count)]

        return pick

    def __repr__(self) -> str:
        return "Random()"
