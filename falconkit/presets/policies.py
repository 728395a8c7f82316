"""The breaker and the budget of the stacks: stricter than the concerns' own defaults.

A concern's default has to do for whoever knows nothing of the others; these are set so that
together, in the simulated storm of ``docs/presets.md``, they keep the load on a service that is
away under 1.1 times its usual one, and let it have that again within 5 s of its return.
"""

from __future__ import annotations

from falconkit.circuitbreaker import CircuitBreaker
from falconkit.circuitbreaker.machine import Chance
from falconkit.clock import Clock, system_clock
from falconkit.retry import Budget


def quick_breaker(
    name: str, *, shared: bool = True, clock: Clock = system_clock, rng: Chance | None = None
) -> CircuitBreaker:
    """Return a breaker that opens within 5 s of an outage, and looks every 3 s whether it is over.

    A ratio looks back over its window, so that of 30 s of calls that went well half
    have to be gone before an outage opens it: 15 s. In 10 s it is 5. A probe of each
    host every 3 s is no load, and what is back is not left alone for longer.

    >>> quick_breaker("users").rules.max_wait
    3.0

    Args:
        name: Whose breaker.
        shared: False for a breaker of this process alone.
        clock: Whose seconds count.
        rng: What jitter is drawn from.
    """
    return CircuitBreaker(
        name, window=10.0, wait=2.0, max_wait=3.0, shared=shared, clock=clock, rng=rng
    )


def strict_budget(*, clock: Clock = system_clock) -> Budget:
    """Return a budget that is kept in every second, and not only over ten.

    What a budget has not spent in its window it may spend at once: over 10 s that is a
    whole second's calls, and the first second of an outage has twice the usual load. The
    floor lets one call a second have its three tries; from 20 calls a second on it is the ratio.

    >>> strict_budget()
    Budget(ratio=0.1, floor=2.0, window=1.0)

    Args:
        clock: Whose seconds count.
    """
    return Budget(ratio=0.1, floor=2.0, window=1.0, clock=clock)
