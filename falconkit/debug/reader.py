"""Puts together what ``/debug/state`` shows."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import falconkit
from falconkit.arena import Arena
from falconkit.clock import Clock, system_clock
from falconkit.debug import state
from falconkit.debug.breakers import Breakers
from falconkit.debug.called import MOST_INSTANCES, Wired, all_wired_of, service_of
from falconkit.debug.counts import Counts, exemplars_of, total
from falconkit.debug.limiters import Limiters
from falconkit.debug.recent import Recent
from falconkit.debug.roll import Roll
from falconkit.debug.shown import shown, shown_config
from falconkit.layers import Layer
from falconkit.metrics import Metrics

UNMATCHED: Final = "unmatched"
MOST_SLOW: Final = 50
MOST_BREAKERS: Final = 200

_FRESH: Final = 1.0
_MOST_EXEMPLARS: Final = 5
_MOST_LAYERS: Final = 10_000


class Shown(Protocol):
    """The app that is shown."""

    metrics: Metrics

    @property
    def wired(self) -> tuple[Wired, ...]:
        """How each endpoint is wired."""

    @property
    def watched(self) -> tuple[Any, ...]:
        """What it calls."""

    @property
    def draining(self) -> bool:
        """Whether it is about to end."""


class Reader:
    """Reads the state of an app and of its host.

    Args:
        service: The service's name.
        arena: What the workers share.
        slow: Seconds from which a call is slow.
        traces: Whether there is a page of traces.
        clock: Tells the time.

    Attributes:
        recent: What happened lately.
        roll: The workers.
        limiters: Those in the chains; they are to be told of each endpoint.
    """

    def __init__(
        self,
        service: str,
        arena: Arena,
        *,
        slow: float,
        traces: bool = False,
        clock: Clock = system_clock,
    ) -> None:
        self.recent = Recent(arena, clock=clock)
        self.roll = Roll(arena, clock=clock)
        self.limiters = Limiters(self.recent)
        self._service, self._arena, self._clock = service, arena, clock
        self._slow, self._traces = slow, traces
        self._numbers: _Numbers | None = None
        self._layers: dict[Layer, state.Layer] = {}

    def breakers(self, app: Shown) -> Breakers:
        """Return the breakers of what an app serves and calls."""
        found = Breakers(self.recent)
        for each in app.wired:
            found.add(each.name, each.layers)
        for called in app.watched:
            for each in all_wired_of(called):
                found.add(each.name, each.layers)
        return found

    def read(self, app: Shown, *, may_act: bool, has_token: bool) -> state.State:
        """Return the state as it is now; its counts are at most a second old.

        Args:
            app: Whose.
            may_act: Whether whoever asks may force breakers.
            has_token: Whether there is a token to log in by.
        """
        self.roll.mine()
        breakers = self.breakers(app).read()
        workers = self.roll.workers()
        numbers = self._lately(app)
        services = [
            service_of(called, lambda wired: self._endpoint(wired, numbers.counts, app.metrics))
            for called in app.watched
        ]
        return state.State(
            version=state.VERSION,
            falconkit=falconkit.__version__,
            service=self._service,
            host=socket.gethostname(),
            run=self._run(),
            time=numbers.time,
            at=numbers.at,
            uptime=max((each.seconds for each in workers), default=0.0),
            draining=app.draining,
            may_act=may_act,
            has_token=has_token,
            traces=self._traces,
            workers=workers,
            endpoints=numbers.endpoints,
            limiters=numbers.limiters,
            breakers=breakers[:MOST_BREAKERS],
            services=services,
            errors=self.recent.failures(),
            slow=self.recent.slowest()[:MOST_SLOW],
            slow_after=self._slow,
            notes=self._notes(breakers, services),
        )

    def _lately(self, app: Shown) -> _Numbers:
        # PERF: 35 ms for 200 endpoints with 1,000 series: many who look, or one who asks
        # without end, make a worker read them once a second. The rest takes 2.4 ms then.
        numbers = self._numbers
        if numbers is None or self._clock.monotonic() - numbers.at >= _FRESH:
            numbers = self._numbers = self._read_numbers(app)
        return numbers

    def _read_numbers(self, app: Shown) -> _Numbers:
        time, at = self._clock.time(), self._clock.monotonic()
        metrics = app.metrics
        counts = Counts(metrics.read())
        endpoints = [self._endpoint(each, counts, metrics) for each in app.wired]
        endpoints.append(self._endpoint(_Unmatched(), counts, metrics, measured="request"))
        return _Numbers(time, at, counts, endpoints, self.limiters.read())

    def _endpoint(
        self, wired: Wired, counts: Counts, metrics: Metrics, *, measured: str | None = None
    ) -> state.Endpoint:
        prefix = _prefix_of(wired.layers) if measured is None else measured
        outcomes = counts.outcomes(prefix or "", wired.name)
        return state.Endpoint(
            method=wired.method,
            path=wired.path,
            name=shown(wired.name),
            chain=[self._layer(each) for each in wired.layers],
            measured=prefix is not None,
            count=total(outcomes),
            ok=outcomes.get("ok", 0),
            failed=outcomes.get("failed", 0),
            refused=outcomes.get("refused", 0),
            invalid=outcomes.get("invalid", 0),
            error=outcomes.get("error", 0),
            kinds=counts.kinds(prefix or "", wired.name),
            in_flight=counts.in_flight(prefix or "", wired.name),
            latency=counts.latency(prefix or "", wired.name),
            exemplars=exemplars_of(metrics, prefix or "", wired.name, _MOST_EXEMPLARS),
        )

    def _layer(self, layer: Layer) -> state.Layer:
        # PERF: 10 us each to make, and they never change: 7 ms of a poll of 100 endpoints.
        made = self._layers.get(layer)
        if made is None:
            if len(self._layers) >= _MOST_LAYERS:  # those of instances come and go
                self._layers.clear()
            made = state.Layer(layer.name, shown_config(layer.config), layer.observes)
            self._layers[layer] = made
        return made

    def _run(self) -> str:
        folder = self._arena.folder()
        which = f"process {os.getpid()}"
        if folder is not None:
            found = folder.stat()
            which = f"{folder} {found.st_ino} {found.st_dev}"
        return hashlib.blake2b(which.encode(), digest_size=8).hexdigest()

    def _notes(
        self, breakers: Iterable[state.Breaker], services: Iterable[state.Service]
    ) -> list[str]:
        notes = []
        if self._arena.folder() is None:
            notes.append(
                "Workers share no memory: all of this is of one worker, and another poll may "
                "show another one. FALCONKIT_RUN names a folder that they can share."
            )
        hidden = len([*breakers]) - MOST_BREAKERS
        if hidden > 0:
            notes.append(f"{hidden} closed breakers are not shown.")
        notes += [
            f"{each.known - MOST_INSTANCES} instances of {each.name} are not shown."
            for each in services
            if each.known > MOST_INSTANCES
        ]
        troubles = self._arena.status()
        notes += [
            f"The arena was {what} {troubles[f'{what}_count']} times in this worker."
            for what in ("contended", "full", "damaged")
            if troubles[f"{what}_count"]
        ]
        return notes


class _Unmatched:
    """What no route takes."""

    method = path = ""
    name = UNMATCHED
    layers = ()


@dataclass(frozen=True, slots=True)
class _Numbers:
    """What takes long to read."""

    time: float
    at: float
    counts: Counts
    endpoints: list[state.Endpoint]
    limiters: list[state.Limiter]


def _prefix_of(layers: Iterable[Layer]) -> str | None:
    """Return under which metrics the outermost `measure` counts, None without one."""
    found = (each.config.get("prefix", "request") for each in layers if each.name == "measure")
    prefix = next(found, None)
    return None if prefix is None else str(prefix)
