"""Pages for whoever is on call."""

from falconkit.debug.scrape import Scrape
from falconkit.debug.traces import Traces
from falconkit.debug.vars import Vars

__all__ = ["Scrape", "Traces", "Vars"]
