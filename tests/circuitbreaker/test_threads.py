"""The breaker under 32 threads: against the model, and by what must not happen."""

from __future__ import annotations

import contextlib
import random
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from falconkit import Context
from falconkit.circuitbreaker import CircuitBreaker, guard
from falconkit.circuitbreaker.machine import Probe, generation_of
from falconkit.errors import CircuitOpen
from falconkit.events import BreakerChanged, Events
from falconkit.testing import ManualClock
from tests.circuitbreaker.model import Fixed, Model, Pass

THREADS = 32


@pytest.fixture(autouse=True)
def switch_often() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def at_once(work: Callable[[int], object]) -> None:
    """Run ``work`` in 32 threads; what one of them raises is raised here."""
    failed: list[BaseException] = []
    start = threading.Barrier(THREADS)

    def run(number: int) -> None:
        start.wait(60)
        try:
            work(number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    if failed:
        raise failed[0]


class History:
    """What was done to the state, in the order in which it was done, and what came of it."""

    def __init__(self, breaker: CircuitBreaker) -> None:
        self.steps: list[tuple[Any, ...]] = []
        machine = breaker.gate.machine
        admit, settle, give_back, catch_up = (
            machine.admit,
            machine.settle,
            machine.give_back,
            machine.catch_up,
        )
        before = [breaker.gate.now(), 0.0]

        def note_catch_up(cell: list[float], now: float, counted: float) -> None:
            catch_up(cell, now, counted)
            # They are of the time before: later, the window would have been moved on.
            self.steps.append(("counted", before[0], int(counted - before[1])))
            before[:] = now, counted

        def note_admit(cell: list[float], now: float) -> Any:
            try:
                ticket = admit(cell, now)
            except CircuitOpen:
                self.steps.append(("refused", now))
                raise
            self.steps.append(("admitted", now, ticket))
            return ticket

        def note_settle(cell: list[float], now: float, ticket: Any, **how: bool) -> None:
            settle(cell, now, ticket, **how)
            self.steps.append(("settled", now, ticket, how["failed"], generation_of(cell[0])))

        def note_give_back(cell: list[float], ticket: Any) -> None:
            give_back(cell, ticket)
            self.steps.append(("given back", ticket))

        machine.admit, machine.settle = note_admit, note_settle  # type: ignore[method-assign]
        machine.give_back = note_give_back  # type: ignore[method-assign]
        machine.catch_up = note_catch_up  # type: ignore[method-assign]

    def replay(self, model: Model) -> Counter[str]:
        """Do all of it to the model, one after another, and compare."""
        passes: dict[Any, Pass] = {}
        seen: Counter[str] = Counter()

        def pass_of(ticket: Any) -> Pass:
            if isinstance(ticket, Probe):
                return passes[ticket]
            return Pass(generation_of(ticket))

        for step in self.steps:
            seen[step[0]] += 1
            match step:
                case ("counted", now, successes):
                    for _ in range(successes):
                        model.leave(now, Pass(model.generation), False, 0.0)
                case ("refused", now):
                    assert model.enter(now) is None
                case ("admitted", now, ticket):
                    let_in = model.enter(now)
                    assert let_in is not None
                    assert isinstance(ticket, Probe) == (let_in.probe >= 0)
                    gate = ticket.gate if isinstance(ticket, Probe) else ticket
                    assert generation_of(gate) == let_in.generation
                    passes[ticket] = let_in
                case ("settled", now, ticket, failed, generation):
                    model.leave(now, pass_of(ticket), failed, 0.0)
                    assert model.generation == generation
                case ("given back", ticket):
                    model.leave(0.0, pass_of(ticket), None, 0.0)
        return seen


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "rules",
    [
        {"failure_ratio": 0.5, "minimum_calls": 20, "probes": 3},
        {"failure_ratio": 0.6, "window_calls": 40, "failures_in_a_row": 9},
        {"failure_ratio": None, "failures_in_a_row": 4, "probes": 2, "max_wait": 8.0},
    ],
    ids=["seconds", "calls", "row"],
)
def test_its_history_is_one_of_the_model(where: dict, rules: dict, seed: int) -> None:
    clock: ManualClock = where["clock"]
    breaker = CircuitBreaker("model", **rules, wait=4.0, rng=Fixed(), **where)
    breaker.status()
    history = History(breaker)
    came: Counter[str] = Counter()

    def inside(ctx: Context, outcome: BaseException | None) -> str:
        if outcome is not None:
            raise outcome
        return "answer"

    call = guard(breaker)(inside)
    # Time stands still while the threads run: what is done at one time may be in any order.
    for turn in range(12):

        def work(number: int, turn: int = turn) -> None:
            rng = random.Random(f"{seed} {turn} {number}")
            for _ in range(10):
                bad = rng.random() < (0.1 if turn % 3 else 0.8)
                outcome = rng.choice([OSError(), OSError(), KeyboardInterrupt()]) if bad else None
                try:
                    call(Context(), outcome)
                    came["well"] += 1
                except CircuitOpen:
                    came["refused"] += 1
                except (OSError, KeyboardInterrupt) as error:
                    came["came through" if error is outcome else "became another"] += 1

        at_once(work)
        clock.advance(1.0 if turn % 2 else 7.0)
    assert not came["became another"]
    shown = breaker.status()  # which takes in what was only counted
    model = Model(breaker.rules)
    seen = history.replay(model)
    assert seen["settled"] > 0
    assert seen["admitted"] > 0
    expected = model.shows(clock.monotonic())
    assert {name: shown[name] for name in expected} == expected


@pytest.mark.parametrize("window", [{}, {"window_calls": 1000}])
def test_no_outcome_is_lost(where: dict, window: dict) -> None:
    breaker = CircuitBreaker("counts", failure_ratio=1.0, minimum_calls=1000, **window, **where)

    @guard(breaker)
    def call(ctx: Context, fails: bool) -> None:
        if fails:
            raise OSError

    def work(number: int) -> None:
        for turn in range(30):
            with contextlib.suppress(OSError):
                call(Context(), (turn + number) % 3 == 0)

    at_once(work)
    status = breaker.status()
    assert (status["calls"], status["failures"]) == (THREADS * 30, THREADS * 10)
    assert status["state"] == "closed"


@pytest.mark.parametrize("probes", [1, 3, 32])
def test_half_open_lets_so_many_in_and_no_more(where: dict, fly: Callable, probes: int) -> None:
    breaker = CircuitBreaker("probed", failures_in_a_row=1, probes=probes, **where)
    fly(breaker).end(OSError())
    assert breaker.state == "open"
    where["clock"].advance(5.0)
    inside, refused = threading.Semaphore(0), threading.Semaphore(0)
    let_go = threading.Event()
    waits: set[float | None] = set()

    @guard(breaker)
    def call(ctx: Context, request: object) -> object:
        inside.release()
        assert let_go.wait(60)
        return request

    def work(number: int) -> None:
        for _ in range(3):
            try:
                call(Context(), number)
            except CircuitOpen as refusal:
                waits.add(refusal.retry_after)
                refused.release()
            else:
                return

    def judge() -> None:
        for _ in range(probes):
            assert inside.acquire(timeout=60)
        for _ in range(3 * (THREADS - probes)):
            assert refused.acquire(timeout=60)
        assert breaker.status()["probes"] == probes
        let_go.set()

    judging = threading.Thread(target=judge)
    judging.start()
    at_once(work)
    judging.join(60)
    assert let_go.is_set()
    assert not inside.acquire(blocking=False)
    assert waits <= {5.0}
    assert breaker.state == "closed"


def test_what_began_before_a_change_counts_for_nothing(where: dict, fly: Callable) -> None:
    heard: list[Any] = []
    breaker = CircuitBreaker(
        "late", failures_in_a_row=3, events=Events(heard.append), wait=4.0, rng=Fixed(), **where
    )
    flights = [fly(breaker) for _ in range(THREADS)]
    for flight in flights[:3]:
        flight.end(OSError())
    assert breaker.state == "open"
    for flight in flights[3:10]:
        flight.end(OSError())
    where["clock"].advance(4.0)
    probe = fly(breaker)
    assert breaker.state == "half-open"
    for flight in flights[10:16]:
        flight.end("late answer")  # must not close it
    for flight in flights[16:22]:
        flight.end(OSError())  # must not open it
    assert breaker.status()["state"] == "half-open"
    probe.end()
    for flight in flights[22:]:
        flight.end(OSError())
    status = breaker.status()
    assert (status["state"], status["calls"], status["failures"]) == ("closed", 0, 0)
    changes = [(each.old, each.new) for each in heard if isinstance(each, BreakerChanged)]
    assert changes == [("closed", "open"), ("open", "half-open"), ("half-open", "closed")]


def test_no_lock_is_held_while_a_call_runs(where: dict, fly: Callable) -> None:
    breaker = CircuitBreaker("slow", failures_in_a_row=100, **where)
    first = fly(breaker)
    second = fly(breaker)
    second.end(OSError())
    breaker.reset()
    assert fly(breaker).let_in
    first.end()
