"""The one object that a process has of its own accord: the arena of whoever was given none."""

from __future__ import annotations

from falconkit.arena.arena import Arena

_default: dict[str, Arena] = {}


def default_arena() -> Arena:
    """Return the arena that everything uses which is not given one: one a process.

    Raises:
        ConfigurationError: ``FALCONKIT_RUN`` names a folder that cannot be used.
    """
    # Two threads may both make one, which opens nothing; they get the same.
    return _default.get("arena") or _default.setdefault("arena", Arena())
