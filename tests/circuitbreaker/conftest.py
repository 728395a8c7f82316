"""What the breaker's tests share: calls that a test begins and ends when it likes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from falconkit import Context
from falconkit.arena import Arena
from falconkit.circuitbreaker import CircuitBreaker, guard
from falconkit.errors import CircuitOpen
from falconkit.events import Events
from falconkit.testing import ManualClock
from tests.arena.conftest import Child, child, folder

__all__ = ["Child", "child", "folder"]


class Flight:
    """A call through `guard` in a thread of its own, held inside until it is told how to end."""

    def __init__(self, breaker: CircuitBreaker, events: Events | None = None) -> None:
        self._told: queue.SimpleQueue[object] = queue.SimpleQueue()
        self._came: queue.SimpleQueue[object] = queue.SimpleQueue()
        self.refusal: CircuitOpen | None = None
        self._result: object = None
        call = guard(breaker)(self._inside)
        ctx = Context(events=events)
        self._thread = threading.Thread(target=self._run, args=(call, ctx), daemon=True)
        self._thread.start()
        self._came.get(timeout=60)

    def _inside(self, ctx: Context, request: object) -> object:
        self._came.put("in")
        outcome = self._told.get(timeout=60)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def _run(self, call: Callable[..., Any], ctx: Context) -> None:
        try:
            self._result = call(ctx, None)
        except CircuitOpen as refusal:
            self.refusal = refusal
        except BaseException as error:
            self._result = error
        finally:
            self._came.put("out")

    @property
    def let_in(self) -> bool:
        return self.refusal is None

    def end(self, outcome: object = "answer") -> None:
        """End the call, which raises or returns ``outcome``, and check that it comes through."""
        self._told.put(outcome)
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert self._result is outcome


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def fly() -> Iterator[Callable[..., Flight]]:
    """Begin calls; those that a test left are ended."""
    flights: list[Flight] = []

    def begin(breaker: CircuitBreaker, events: Events | None = None) -> Flight:
        flights.append(Flight(breaker, events))
        return flights[-1]

    yield begin
    for flight in flights:
        flight._told.put("left")
        flight._thread.join(60)


@pytest.fixture(params=["private", "shared"])
def where(request: pytest.FixtureRequest, folder: Path, clock: ManualClock) -> Iterator[dict]:
    """Run the test with a breaker of this process, and with one of the arena."""
    if request.param == "private":
        yield {"shared": False, "clock": clock}
        return
    arena = Arena(folder, clock=clock)
    yield {"arena": arena, "clock": clock}
    arena.close()
