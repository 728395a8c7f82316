"""Events that come from a thread of discovery's own, where no call's listeners are at hand."""

from __future__ import annotations

import logging

from falconkit.events import (
    DiscoveryLost,
    Event,
    Events,
    InstanceEjected,
    RegistrationFailed,
    TooFewHealthy,
)

_LOG = logging.getLogger("falconkit.sd")
_TROUBLE = (DiscoveryLost, InstanceEjected, RegistrationFailed, TooFewHealthy)


def tell(events: Events | None, event: Event) -> None:
    """Tell an event to who listens, else log it: trouble as a warning."""
    if events:
        events.tell(event)
    else:
        _LOG.log(logging.WARNING if isinstance(event, _TROUBLE) else logging.INFO, "%s", event)
