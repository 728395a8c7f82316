"""Pages for whoever is on call."""

from falconkit.debug.door import Door
from falconkit.debug.scrape import Scrape
from falconkit.debug.token import Token
from falconkit.debug.traces import Traces
from falconkit.debug.vars import Vars

__all__ = ["Door", "Scrape", "Token", "Traces", "Vars"]
