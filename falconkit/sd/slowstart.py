"""A member that is new takes up its share of the calls by and by."""

from __future__ import annotations

import math
import random
from typing import Any

from falconkit.context import Context
from falconkit.sd.member import Member
from falconkit.sd.policy import Members, Pick

_LEAST = 0.1
"""The share that a new member begins with: Envoy's ``min_weight_percent``."""

_TRIES = 4


def easing(
    pick: Pick, members: Members, now: float, seconds: float, rng: random.Random
) -> tuple[Pick, float]:
    """Return a choice that leaves out new members at first, and when all of them are old.

    A new member that was chosen is taken as often as its age is a share of ``seconds``,
    a tenth at least; else the choice is made again. Where the whole set is new
    there is nobody to take its place, and each is taken at once.

    Args:
        pick: Chooses among all.
        members: Who is chosen from.
        now: The time.
        seconds: How long a member is new; 0 for never.
        rng: Chance.
    """
    newest = max(each.since for each in members)
    oldest = min(each.since for each in members)
    if now >= newest + seconds or now < oldest + seconds:
        return pick, math.inf
    chance = rng.random

    def ease(ctx: Context, request: Any, now: float) -> Member:
        for _ in range(_TRIES):
            member = pick(ctx, request, now)
            age = now - member.since
            if age >= seconds or chance() < max(_LEAST, age / seconds):
                break
        return member

    return ease, newest + seconds
