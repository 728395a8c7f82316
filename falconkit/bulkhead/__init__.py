"""A fixed bound on the calls that are in flight at a time."""

from falconkit.bulkhead.middleware import Bounds, bulkhead
from falconkit.bulkhead.room import Bulkhead, share

__all__ = ["Bounds", "Bulkhead", "bulkhead", "share"]
