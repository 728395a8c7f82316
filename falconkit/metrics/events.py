"""Count what concerns tell: a limiter that fell back, a breaker that opened."""

from __future__ import annotations

from falconkit.events import Event, Listener
from falconkit.metrics.registry import Metrics
from falconkit.metrics.sample import snake_case


def count_events(metrics: Metrics) -> Listener:
    """Return a listener that counts each kind of event, as in ``event.limiter_fell_back``.

    >>> from falconkit.arena import Arena
    >>> from falconkit.events import Events, LimiterFellBack
    >>> from falconkit.metrics import expvar
    >>> metrics = Metrics(arena=Arena("run"))
    >>> Events(count_events(metrics)).tell(LimiterFellBack("add", "connection refused"))
    >>> expvar(metrics)
    {'event.limiter_fell_back': 1}

    Args:
        metrics: Where they are counted.
    """

    def listen(event: Event) -> None:
        metrics.counter(f"event.{snake_case(type(event).__name__)}").add()

    return listen
