"""How a call comes to a member, and to another one when it was sent to nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from falconkit.context import Asked, Context
from falconkit.errors import NoInstance
from falconkit.sd.member import Member
from falconkit.sd.policy import Pick

Tried = tuple[Asked, ...]

_MOST = 8
"""Members that may refuse a call, or be out of reach, before it is given up."""

_REDRAWS = 5
"""How often one that has had the call already is drawn anew, as Envoy's ``previous_hosts`` is."""


class Entrance:
    """Counts calls in at the member that is best, and out of it.

    Args:
        pick: Chooses a member.
        now: The time.
    """

    __slots__ = ("_now", "_pick")

    def __init__(self, pick: Pick, now: Callable[[], float]) -> None:
        self._pick, self._now = pick, now

    def enter(self, ctx: Context, request: Any, tried: Tried) -> tuple[float, Member]:
        """Return the time and the member that a call is let in at, one not ``tried`` if it can be.

        Raises:
            NoInstance: There is none.
        """
        while True:
            now = self._now()
            member = self._pick(ctx, request, now)
            if tried:
                member = self._another(ctx, request, now, member, tried)
            member.in_flight += 1
            if not member.retired:
                return now, member
            # It left the set just now, and its endpoint may be closed already.
            leave(member)

    def elsewhere(self, ctx: Context, request: Any, tried: Tried) -> tuple[float, Member] | None:
        """Return what `enter` does, None when that is one that has had the call."""
        if len(tried) > _MOST:
            return None
        try:
            entered = self.enter(ctx, request, tried)
        except NoInstance:
            return None
        if entered[1].asked not in tried:
            return entered
        leave(entered[1])
        return None

    def _another(
        self, ctx: Context, request: Any, now: float, member: Member, tried: Tried
    ) -> Member:
        for _ in range(_REDRAWS):
            if member.asked not in tried:
                break
            member = self._pick(ctx, request, now)
        return member


def leave(member: Member) -> None:
    """Count a call out; the last one closes a member that has left the set."""
    member.in_flight -= 1
    if member.retired and member.in_flight == 0:
        member.close()
