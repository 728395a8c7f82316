"""Which members a call may go to at present."""

from __future__ import annotations

from falconkit.sd.member import Member
from falconkit.sd.policy import Members

ZONE_WELL = 0.7
"""The share of a zone's members that must be well for it to serve its own clients alone.

Envoy's factor of 1.4 by which a locality is taken to be provided for.
"""


def eligible(members: Members, now: float, *, panic: float, zone: str) -> tuple[Members, bool]:
    """Return the members to choose from, and whether that is all of them for want of well ones.

    The first tier of priority in which the share of well members reaches ``panic``
    serves alone, from the client's own zone if that is well. When no tier reaches it, the
    fault may be in the looking, and all members serve (Envoy's panic threshold).

    Args:
        members: All of them.
        now: The time.
        panic: The share of a tier's members, 0 to 1; 0 turns panic off.
        zone: The client's; "" when it has no preference.
    """
    tiers: dict[int, list[Member]] = {}
    for member in members:
        tiers.setdefault(member.instance.priority, []).append(member)
    for _, tier in sorted(tiers.items()):
        well = [each for each in tier if is_well(each, now)]
        if well and len(well) >= panic * len(tier):
            return tuple(_local(tier, well, zone)), False
    return (members, True) if panic else ((), False)


def is_well(member: Member, now: float) -> bool:
    """Return whether nothing speaks against a member: no check, and no ejection."""
    return member.instance.healthy and member.ejected_until <= now


def _local(tier: list[Member], well: list[Member], zone: str) -> list[Member]:
    if not zone:
        return well
    local = [each for each in well if each.instance.zone == zone]
    there = sum(each.instance.zone == zone for each in tier)
    return local if local and len(local) >= ZONE_WELL * there else well
