"""A circuit breaker: it refuses calls to what is known to be down."""

from __future__ import annotations

import random
import zlib

from falconkit.arena import Arena, default_arena
from falconkit.circuitbreaker.cell import CLOSED, FORCED_CLOSED, FORCED_OPEN, WIDTH
from falconkit.circuitbreaker.gate import Gate
from falconkit.circuitbreaker.machine import Chance
from falconkit.circuitbreaker.private import PrivateRecord, Record
from falconkit.circuitbreaker.rules import Rules
from falconkit.circuitbreaker.status import Status, status_of
from falconkit.circuitbreaker.verdict import IsFailure, is_failure
from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError
from falconkit.events import Events


class CircuitBreaker:
    """Lets calls in while they go well, refuses them while they do not, and tries again.

    Put it around endpoints with `guard`. The workers of a host share it: breakers of
    one name and one configuration are one breaker. Nothing is opened until the
    first call, and no lock is held while a call runs. Threads may share it.

    >>> breaker = CircuitBreaker("billing", failures_in_a_row=5, wait=10.0, shared=False)
    >>> breaker.force_open()
    >>> breaker.state
    'forced-open'
    >>> breaker.reset()
    >>> breaker.state, breaker.status()["calls"]
    ('closed', 0)

    Attributes:
        name: What events, metrics and ``/debug`` call it.
        rules: When it opens, and for how long.
        shared: Whether the workers of the host share it.
        gate: What calls pass; for `guard`.
    """

    def __init__(
        self,
        name: str,
        *,
        failure_ratio: float | None = 0.5,
        failures_in_a_row: int | None = None,
        slow_after: float | None = None,
        slow_ratio: float = 0.5,
        window: float = 30.0,
        window_calls: int | None = None,
        minimum_calls: int | None = None,
        wait: float = 5.0,
        max_wait: float = 60.0,
        probes: int = 1,
        probe_expires: float = 30.0,
        is_failure: IsFailure = is_failure,
        shared: bool = True,
        arena: Arena | None = None,
        clock: Clock = system_clock,
        rng: Chance | None = None,
        events: Events | None = None,
    ) -> None:
        """Check everything, open nothing.

        Args:
            name: Whose breaker: the service or the endpoint.
            failure_ratio: Opens when this share of the window's calls failed; None: never.
            failures_in_a_row: Opens after so many with no success between; None: never.
            slow_after: Seconds above which a call is slow, whether it failed or not;
                None: no call is.
            slow_ratio: Opens when this share of the window's calls was slow.
            window: Seconds that the ratios look back, in tenths.
            window_calls: Look back over so many calls instead, 1000 at most.
            minimum_calls: Under so many calls nothing opens it. When None, it is 10
                for the ratios, and a row of failures counts from the first call.
            wait: Seconds to stay open at the first trip; each trip doubles them, until
                it stayed closed for as long. From half of them to all are waited.
            max_wait: Seconds at which that growth ends.
            probes: Calls that a half-open breaker lets in, over all workers. When all
                of them go well it closes; the first that does not opens it again.
            probe_expires: Seconds after which a probe of which nothing was heard (its
                worker was killed) gives its place back. Longer than a call may take.
            is_failure: What outcomes mean: see `falconkit.circuitbreaker.is_failure`.
            shared: False for a breaker of this process alone.
            arena: Where it is shared; the process' default one when None.
            clock: Whose seconds these are; the same one in all that share it.
            rng: What jitter is drawn from.
            events: Who hears `BreakerChanged` and `BreakerSeen`; the listeners of the
                calls when None.

        Raises:
            ConfigurationError: A value cannot be used, or the values together cannot.
        """
        if not (isinstance(name, str) and name):
            raise ConfigurationError(f"a breaker has a name, got {name!r}")
        if not callable(is_failure):
            raise ConfigurationError(f"is_failure is a function of an outcome, got {is_failure!r}")
        if arena is not None and not shared:
            raise ConfigurationError("shared=False shares nothing: leave out either that or arena=")
        self.name = name
        self.rules = Rules(
            failure_ratio,
            failures_in_a_row,
            slow_after,
            slow_ratio,
            window,
            window_calls,
            minimum_calls,
            wait,
            max_wait,
            probes,
            probe_expires,
        )
        # Another configuration is another state: this one's numbers mean nothing to it.
        key = f"{name} {self.rules}"
        record: Record = PrivateRecord(WIDTH)
        if shared:
            record = (
                (default_arena() if arena is None else arena).records("breakers", WIDTH).of(key)
            )
        self.shared = shared
        self.gate = Gate(
            name,
            self.rules,
            record,
            number=zlib.crc32(key.encode("utf-8", "surrogatepass")) >> 4,
            # Not one with a seed, of which forked workers would have the same.
            chance=random.SystemRandom() if rng is None else rng,
            clock=clock,
            is_failure=is_failure,
            events=events,
        )

    @property
    def state(self) -> str:
        """``closed``, ``open``, ``half-open``, ``forced-open`` or ``forced-closed``."""
        return str(self.status()["state"])

    def status(self) -> Status:
        """Return its state and what led to it, as for ``/debug``. It changes nothing.

        ``seconds`` is the time in this state; ``calls``, ``failures`` and ``slow`` are
        those of the window; ``probes`` are under way. An open breaker whose
        ``retry_after`` is 0 lets the next call in as a probe.
        """
        cell, now = self.gate.look()
        about: Status = {"name": self.name, "shared": self.shared}
        return about | status_of(cell, now, self.gate.machine, self.rules.probes)

    def force_open(self, *, events: Events | None = None) -> None:
        """Refuse every call, in all workers, until `reset`.

        Args:
            events: Who hears of it at once; the listeners of the next call when None.
        """
        self.gate.force(FORCED_OPEN, "it was forced open", events)

    def force_closed(self, *, events: Events | None = None) -> None:
        """Let every call in, in all workers, and count none, until `reset`.

        Args:
            events: As for `force_open`.
        """
        self.gate.force(FORCED_CLOSED, "it was forced closed", events)

    def reset(self, *, events: Events | None = None) -> None:
        """Close it, in all workers, and forget what was counted.

        Args:
            events: As for `force_open`.
        """
        self.gate.force(CLOSED, "it was reset", events)

    def __repr__(self) -> str:
        return f"CircuitBreaker({self.name!r})"
