"""Pages for whoever is on call."""

from falconkit.debug.vars import Vars

__all__ = ["Vars"]
