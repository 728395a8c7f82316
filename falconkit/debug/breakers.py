"""The circuit breakers in the chains: their state, their last changes, and forced states."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final

from falconkit.circuitbreaker import CircuitBreaker
from falconkit.debug.recent import Recent, fit
from falconkit.debug.shown import shown
from falconkit.debug.state import Breaker, BreakerChange
from falconkit.errors import ConfigurationError, FalconkitError
from falconkit.events import Events
from falconkit.layers import Layer

ACTIONS: Final = ("force-open", "force-closed", "reset")

MOST_CHANGES: Final = 10


class NotThere(FalconkitError):
    """There is no breaker of that id, or it is not one that can be forced from here."""


class Breakers:
    """The breakers of an app, found anew at each look, since instances come and go.

    Args:
        recent: Where their changes are remembered.
    """

    def __init__(self, recent: Recent) -> None:
        self._recent = recent
        self._found: dict[str, tuple[CircuitBreaker, dict[str, None]]] = {}

    def add(self, endpoint: str, layers: Iterable[Layer]) -> None:
        """Take in what guards an endpoint."""
        for each in layers:
            breaker = each.config.get("breaker")
            if isinstance(breaker, CircuitBreaker):
                _, endpoints = self._found.setdefault(id_of(breaker), (breaker, {}))
                endpoints[endpoint] = None

    def read(self) -> list[Breaker]:
        """Return them as they are now: those that do not let all calls in first."""
        changes = self._recent.changes()
        found = [
            self._look(name, breaker, list(endpoints), changes)
            for name, (breaker, endpoints) in self._found.items()
        ]
        return sorted(found, key=lambda each: (each.state == "closed", each.name))

    def force(self, breaker_id: str, action: str, events: Events) -> None:
        """Force a breaker open or closed, in all workers, or reset it.

        Args:
            breaker_id: As in the document.
            action: ``force-open``, ``force-closed`` or ``reset``.
            events: Who hears of it.

        Raises:
            NotThere: There is no such breaker.
            ConfigurationError: There is no such action.
        """
        if action not in ACTIONS:
            raise ConfigurationError(f"action={action[:40]!r}: give one of {', '.join(ACTIONS)}")
        if breaker_id not in self._found:
            raise NotThere("there is no such breaker here; it may have gone with its instance")
        breaker, _ = self._found[breaker_id]
        if not breaker.shared:
            raise NotThere(f"{breaker.name} is one of each worker: it cannot be forced from here")
        getattr(breaker, action.replace("-", "_"))(events=events)

    def _look(
        self,
        breaker_id: str,
        breaker: CircuitBreaker,
        endpoints: list[str],
        changes: dict[str, list[BreakerChange]],
    ) -> Breaker:
        status = breaker.status()
        state = str(status["state"])
        return Breaker(
            breaker_id,
            shown(breaker.name),
            state,
            state.startswith("forced"),
            breaker.shared,
            round(float(status["seconds"]), 3),
            round(float(status["retry_after"]), 3),
            int(status["calls"]),
            int(status["failures"]),
            int(status["slow"]),
            int(status["failures_in_a_row"]),
            int(status["trips"]),
            rules_of(breaker),
            endpoints,
            changes.get(fit(breaker.name), [])[:MOST_CHANGES],
        )


def id_of(breaker: CircuitBreaker) -> str:
    """Return what names a breaker in all workers: its name and rules, as the arena does.

    >>> id_of(CircuitBreaker("billing")) == id_of(CircuitBreaker("billing"))
    True
    """
    named = f"{breaker.name} {breaker.rules}".encode("utf-8", "surrogatepass")
    return hashlib.blake2b(named, digest_size=8).hexdigest()


def rules_of(breaker: CircuitBreaker) -> str:
    """Return when a breaker opens, for people.

    >>> rules_of(CircuitBreaker("billing", failures_in_a_row=5, failure_ratio=None))
    '5 failures in a row; open for 5 to 60 s'
    """
    rules = breaker.rules
    told = []
    over = f"{rules.window:g} s" if rules.window_calls is None else f"{rules.window_calls} calls"
    if rules.failure_ratio is not None:
        told.append(f"{rules.failure_ratio:.0%} failed of {over}")
    if rules.failures_in_a_row is not None:
        told.append(f"{rules.failures_in_a_row} failures in a row")
    if rules.slow_after is not None:
        told.append(f"{rules.slow_ratio:.0%} slower than {rules.slow_after:g} s of {over}")
    longer = f" to {rules.max_wait:g}" if rules.max_wait > rules.wait else ""
    return f"{' or '.join(told)}; open for {rules.wait:g}{longer} s"
