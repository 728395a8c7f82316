"""Pages for whoever is on call."""

from falconkit.debug.traces import Traces
from falconkit.debug.vars import Vars

__all__ = ["Traces", "Vars"]
