"""What a caller is given when the call fails: a value, a function's answer, the last good one."""

from falconkit.fallback.lastgood import LastGood, Stale
from falconkit.fallback.middleware import fallback, fallback_to
from falconkit.fallback.outage import is_outage
from falconkit.fallback.stale import fallback_stale

__all__ = ["LastGood", "Stale", "fallback", "fallback_stale", "fallback_to", "is_outage"]
