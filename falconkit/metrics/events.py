"""Count what concerns tell: a limiter that fell back, a breaker that opened."""

from __future__ import annotations

from collections.abc import Callable

from falconkit.events import BreakerSeen, Event, Listener
from falconkit.metrics.registry import Metrics
from falconkit.metrics.sample import snake_case


def count_events(metrics: Metrics) -> Listener:
    """Return a listener that counts each kind of event, as in ``event.limiter_fell_back``.

    The state of a circuit breaker is shown besides: ``breaker.state``, by breaker and
    state, is how many workers see it in that state now.

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
    show = _shower(metrics)

    def listen(event: Event) -> None:
        if isinstance(event, BreakerSeen):
            show(event)
            return
        metrics.counter(f"event.{snake_case(type(event).__name__)}").add()

    return listen


def _shower(metrics: Metrics) -> Callable[[BreakerSeen], None]:
    shown: dict[str, str] = {}

    def show(event: BreakerSeen) -> None:
        # Made when there is a breaker: most services would show a metric without a series.
        gauge = metrics.gauge("breaker.state", ("breaker", "state"))
        before = shown.get(event.breaker)
        if before is not None:
            gauge.labels(event.breaker, before).set(0.0)
        shown[event.breaker] = event.state
        gauge.labels(event.breaker, event.state).set(1.0)

    return show
