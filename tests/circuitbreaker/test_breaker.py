"""When a breaker opens and closes, what it refuses with, and what it tells."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit import Context, layers, named, nop
from falconkit.arena.record import KEPT
from falconkit.circuitbreaker import CircuitBreaker, guard
from falconkit.circuitbreaker.cell import CLOSED, OPEN, STATE, WIDTH
from falconkit.circuitbreaker.machine import Machine
from falconkit.circuitbreaker.rules import Rules
from falconkit.errors import CircuitOpen, ConfigurationError, Overloaded
from falconkit.events import BreakerChanged, BreakerSeen, Events
from falconkit.testing import ManualClock, Script
from tests.circuitbreaker.model import Fixed

DOWN = OSError("down")


def calls(breaker: CircuitBreaker, *outcomes: object, takes: float = 0.0) -> list[str]:
    """Make a call for each outcome; say how each ended."""

    @guard(breaker)
    def call(ctx: Context, request: object) -> object:
        if takes:
            breaker.gate.now.__self__.advance(takes)  # type: ignore[attr-defined]
        if isinstance(request, BaseException):
            raise request
        return request

    ended = []
    for outcome in outcomes:
        try:
            call(Context(), outcome)
            ended.append("well")
        except CircuitOpen:
            ended.append("refused")
        except BaseException as error:
            ended.append("failed" if error is outcome else repr(error))
    return ended


def refusal(breaker: CircuitBreaker) -> float | None:
    with pytest.raises(CircuitOpen) as refused:
        guard(breaker)(nop)(Context(), None)
    return refused.value.retry_after


def test_with_no_arguments_half_of_ten_calls_open_it(where: dict) -> None:
    breaker = CircuitBreaker("billing", **where)
    assert calls(breaker, *["ok"] * 5, *[DOWN] * 4, "ok") == ["well"] * 5 + ["failed"] * 4 + [
        "well"
    ]
    assert breaker.state == "closed"
    # 4 of 10 failed; the eleventh makes it 5 of 11, the twelfth 6 of 12.
    assert calls(breaker, DOWN, DOWN, "ok") == ["failed", "failed", "refused"]
    assert breaker.state == "open"


def test_a_single_failure_never_opens_it(where: dict) -> None:
    breaker = CircuitBreaker("billing", **where)
    assert calls(breaker, *[DOWN] * 9) == ["failed"] * 9
    assert breaker.state == "closed"
    assert calls(breaker, DOWN, "ok") == ["failed", "refused"]


def test_a_row_of_failures(where: dict) -> None:
    breaker = CircuitBreaker("billing", failure_ratio=None, failures_in_a_row=3, **where)
    assert (
        calls(breaker, DOWN, DOWN, "ok", DOWN, DOWN) == ["failed"] * 2 + ["well"] + ["failed"] * 2
    )
    assert breaker.status()["failures_in_a_row"] == 2
    assert calls(breaker, DOWN, "ok") == ["failed", "refused"]


def test_no_row_under_the_minimum_that_was_given(where: dict) -> None:
    breaker = CircuitBreaker("billing", failures_in_a_row=2, minimum_calls=5, **where)
    assert calls(breaker, *[DOWN] * 6) == ["failed"] * 5 + ["refused"]


def test_slow_calls(where: dict) -> None:
    breaker = CircuitBreaker(
        "billing", failure_ratio=None, slow_after=1.0, slow_ratio=0.5, minimum_calls=4, **where
    )
    assert calls(breaker, "ok", "ok", takes=1.0) == ["well"] * 2
    assert breaker.status()["slow"] == 0, "a second is not over a second"
    assert calls(breaker, "ok", DOWN, takes=1.25) == ["well", "failed"]
    assert breaker.state == "open"
    where["clock"].advance(5.0)
    assert calls(breaker, "ok", takes=2.0) == ["well"]
    assert breaker.state == "open", "a slow probe is as bad as one that fails"


def test_the_window_by_time_forgets(where: dict) -> None:
    breaker = CircuitBreaker("billing", window=10.0, minimum_calls=4, **where)
    calls(breaker, "ok", DOWN)
    where["clock"].advance(9.0)
    assert breaker.status()["failures"] == 1
    where["clock"].advance(1.0)
    assert breaker.status()["failures"] == 0
    calls(breaker, "ok", "ok", "ok", DOWN)
    assert breaker.state == "closed"


def test_the_window_by_count_is_exactly_the_last_calls(where: dict) -> None:
    breaker = CircuitBreaker("billing", window_calls=120, failure_ratio=0.5, **where)
    calls(breaker, *["ok"] * 120, *[DOWN] * 59)
    status = breaker.status()
    assert (status["calls"], status["failures"], status["state"]) == (120, 59, "closed")
    calls(breaker, *["ok"] * 100)
    assert breaker.status()["failures"] == 20
    calls(breaker, *["ok"] * 20)
    assert breaker.status()["failures"] == 0


def test_what_is_ignored_counts_as_neither(where: dict) -> None:
    breaker = CircuitBreaker("billing", failures_in_a_row=2, **where)
    calls(breaker, DOWN, Overloaded("our own"), KeyboardInterrupt())
    assert breaker.status()["calls"] == 1
    assert calls(breaker, DOWN, "ok") == ["failed", "refused"]
    where["clock"].advance(5.0)
    # A probe that says nothing gives its place back.
    assert calls(breaker, SystemExit(), GeneratorExit()) == ["failed"] * 2
    assert breaker.state == "half-open"
    assert calls(breaker, "ok") == ["well"]
    assert breaker.state == "closed"


def test_its_waits_grow_and_start_over(where: dict) -> None:
    clock: ManualClock = where["clock"]
    breaker = CircuitBreaker(
        "billing", failures_in_a_row=1, wait=4.0, max_wait=20.0, rng=Fixed(), **where
    )
    for wait in (3.0, 6.0, 12.0, 15.0, 15.0):
        calls(breaker, DOWN)
        assert refusal(breaker) == wait
        clock.advance(wait / 2)
        assert refusal(breaker) == wait / 2
        clock.advance(wait / 2)
    # It closes, and fails again before it was closed for as long as it last waited.
    assert calls(breaker, "ok") == ["well"]
    clock.advance(19.5)
    calls(breaker, DOWN)
    assert refusal(breaker) == 15.0
    clock.advance(15.0)
    assert calls(breaker, "ok") == ["well"]
    clock.advance(20.0)
    calls(breaker, DOWN)
    assert refusal(breaker) == 3.0


@given(st.floats(0.0, 1.0, exclude_max=True), st.integers(1, 12))
def test_jitter_waits_from_half_to_all(chance: float, trips: int) -> None:
    class Drawn:
        def random(self) -> float:
            return chance

    clock = ManualClock()
    breaker = CircuitBreaker(
        "billing",
        failures_in_a_row=1,
        wait=2.0,
        max_wait=60.0,
        rng=Drawn(),
        shared=False,
        clock=clock,
    )
    for trip in range(trips):
        calls(breaker, DOWN)
        wait = refusal(breaker)
        assert wait is not None
        whole = min(60.0, 2.0 * 2**trip)
        assert whole / 2 <= wait + 1e-9
        assert wait <= whole + 1e-9
        clock.advance(wait + 1e-6)


def test_forced(where: dict) -> None:
    breaker = CircuitBreaker("billing", **where)
    breaker.force_open()
    assert refusal(breaker) == 60.0
    where["clock"].advance(86_300.0)
    assert refusal(breaker) == 60.0
    where["clock"].advance(86_300.0)
    assert breaker.state == "forced-open", "somebody asked in the last day"
    breaker.force_closed()
    assert calls(breaker, *[DOWN] * 30) == ["failed"] * 30
    for _ in range(3):
        where["clock"].advance(86_300.0)
        assert calls(breaker, "ok", DOWN) == ["well", "failed"]
    assert (breaker.state, breaker.status()["calls"]) == ("forced-closed", 0)
    breaker.reset()
    status = breaker.status()
    assert (status["state"], status["failures"], status["trips"]) == ("closed", 0, 0)


def test_changes_are_told_with_the_reason(where: dict) -> None:
    heard: list[Any] = []
    breaker = CircuitBreaker("billing", wait=4.0, rng=Fixed(), events=Events(heard.append), **where)
    calls(breaker, *["ok"] * 5, *[DOWN] * 5)
    where["clock"].advance(3.0)
    calls(breaker, "ok")
    breaker.force_open()
    assert heard == [
        BreakerSeen("billing", "closed"),
        BreakerChanged("billing", "closed", "open", 3.0, "5 of 10 calls failed", 2),
        BreakerSeen("billing", "open"),
        BreakerChanged("billing", "open", "half-open", None, "its wait is over", 3),
        BreakerSeen("billing", "half-open"),
        BreakerChanged("billing", "half-open", "closed", None, "1 of 1 probes went well", 4),
        BreakerSeen("billing", "closed"),
        BreakerChanged("billing", "closed", "forced-open", None, "it was forced open", 5),
        BreakerSeen("billing", "forced-open"),
    ]


def test_what_nobody_listens_to_is_logged(where: dict, caplog: pytest.LogCaptureFixture) -> None:
    breaker = CircuitBreaker("billing", failures_in_a_row=1, **where)
    with caplog.at_level(logging.WARNING, "falconkit.circuitbreaker"):
        calls(breaker, DOWN)
    assert len(caplog.records) == 1
    assert "'closed', new='open'" in caplog.text


def test_a_listener_may_use_the_breaker(where: dict) -> None:
    def reset(event: object) -> None:
        if isinstance(event, BreakerChanged) and event.new == "open":
            breaker.reset()

    breaker = CircuitBreaker("billing", failures_in_a_row=1, events=Events(reset), **where)
    assert calls(breaker, DOWN, "ok") == ["failed", "well"]


def test_a_predicate_of_ones_own_sees_answers_too(where: dict) -> None:
    breaker = CircuitBreaker(
        "billing",
        failures_in_a_row=2,
        is_failure=lambda outcome: {"bad": True, "odd": None}.get(str(outcome), False),
        **where,
    )
    assert calls(breaker, "bad", "ok", "bad", "odd", OSError("fine")) == ["well"] * 4 + ["failed"]
    assert breaker.status()["failures_in_a_row"] == 0
    assert breaker.status()["calls"] == 4
    assert calls(breaker, "bad", "odd", "bad", "ok") == ["well"] * 3 + ["refused"]


def test_a_predicate_that_fails_changes_no_outcome(
    where: dict, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(outcome: object) -> bool:
        raise RuntimeError("no verdict")

    breaker = CircuitBreaker("billing", failures_in_a_row=2, is_failure=broken, **where)
    assert calls(breaker, "ok", DOWN, DOWN, "ok") == ["well", "failed", "failed", "refused"]
    assert "is_failure of the breaker 'billing' failed" in caplog.text


def test_one_each_for_the_endpoints(where: dict) -> None:
    def make(name: str) -> CircuitBreaker:
        return CircuitBreaker(name, failures_in_a_row=1, **where)

    guarded = guard(make)
    bad, good = guarded(named("bad")(Script(DOWN))), guarded(named("good")(Script(1)))
    with pytest.raises(OSError):
        bad(Context(), None)
    with pytest.raises(CircuitOpen):
        bad(Context(), None)
    assert good(Context(), None) == 1
    breakers = [layers(each)[0].config["breaker"] for each in (bad, good)]
    assert [(each.name, each.state) for each in breakers] == [("bad", "open"), ("good", "closed")]


def test_without_arguments_it_is_the_endpoints_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("FALCONKIT_RUN", str(tmp_path / "run"))
    (found,) = layers(guard()(nop))
    breaker = found.config["breaker"]
    assert isinstance(breaker, CircuitBreaker)
    assert (breaker.name, repr(breaker)) == ("nop", "CircuitBreaker('nop')")
    assert breaker.status()["shared"] is True


def test_another_configuration_is_another_breaker(where: dict) -> None:
    if "arena" not in where:
        return
    first = CircuitBreaker("billing", failures_in_a_row=1, **where)
    calls(first, DOWN)
    assert CircuitBreaker("billing", failures_in_a_row=1, **where).state == "open"
    assert CircuitBreaker("billing", failures_in_a_row=2, **where).state == "closed"
    assert CircuitBreaker("other", failures_in_a_row=1, **where).state == "closed"


def test_status_changes_nothing(where: dict) -> None:
    breaker = CircuitBreaker("billing", failures_in_a_row=1, rng=Fixed(), **where)
    calls(breaker, "ok", DOWN)
    where["clock"].advance(3.75)
    for _ in range(2):
        assert breaker.status() == {
            "name": "billing",
            "shared": "arena" in where,
            "state": "open",
            "generation": 2,
            "seconds": 3.75,
            "retry_after": 0.0,
            "trips": 1,
            "calls": 0,
            "failures": 0,
            "slow": 0,
            "failures_in_a_row": 0,
            "probes": 0,
        }


def test_a_damaged_state_begins_anew(where: dict) -> None:
    breaker = CircuitBreaker("billing", failures_in_a_row=1, **where)
    calls(breaker, DOWN)
    for at, value in ((2, math.nan), (2, 77.0), (0, math.nan), (0, 0.0), (0, -5.0)):
        breaker.gate.record.opened()[at] = value
        assert breaker.status()["generation"] == 1
        assert calls(breaker, "ok", DOWN) == ["well", "failed"]
        assert breaker.state == "open"


BAD: list[dict[str, Any]] = [
    {"failure_ratio": 0},
    {"failure_ratio": 1.01},
    {"failure_ratio": math.nan},
    {"failure_ratio": "half"},
    {"failure_ratio": None},
    {"failures_in_a_row": 0},
    {"failures_in_a_row": 2.5},
    {"failures_in_a_row": True},
    {"slow_after": 0},
    {"slow_after": math.inf},
    {"slow_ratio": None},
    {"window": -1},
    {"window": math.nan},
    {"window_calls": 1001},
    {"window_calls": 9},
    {"window_calls": 50, "minimum_calls": 51},
    {"minimum_calls": 0},
    {"wait": 0},
    {"wait": 61},
    {"max_wait": 1e9},
    {"probes": 0},
    {"probes": 33},
    {"probe_expires": 0},
    {"is_failure": OSError("not a function")},
    {"name": ""},
    {"name": 7},
]


@pytest.mark.parametrize("config", BAD, ids=str)
def test_what_cannot_work_is_said_at_once(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as said:
        CircuitBreaker(**({"name": "billing", "shared": False} | config))
    wrong = next(iter(config.values()))
    assert repr(wrong) in str(said.value) or "nothing opens" in str(said.value)


def test_an_arena_is_not_private(where: dict) -> None:
    if "arena" in where:
        with pytest.raises(ConfigurationError, match="shared=False"):
            CircuitBreaker("billing", shared=False, **where)


def test_guard_takes_a_breaker_or_what_makes_one() -> None:
    with pytest.raises(ConfigurationError, match="'billing'"):
        guard("billing")  # type: ignore[arg-type]
    makes_none: Callable[[str], Any] = lambda name: None  # noqa: E731
    with pytest.raises(ConfigurationError, match="'nop'"):
        guard(makes_none)(nop)
    with pytest.raises(ConfigurationError, match=r"@guard\(\)"):
        guard(nop)  # type: ignore[arg-type]


def test_a_place_that_expired_is_its_own_until_it_is_given_away(where: dict, fly: Callable) -> None:
    breaker = CircuitBreaker("billing", failures_in_a_row=1, probe_expires=10.0, **where)
    for ending in ("late", OSError("late")):
        calls(breaker, DOWN)
        where["clock"].advance(60.0)
        first = fly(breaker)
        where["clock"].advance(9.875)
        assert calls(breaker, "ok") == ["refused"]
        where["clock"].advance(0.125)
        second = fly(breaker)
        first.end(ending)
        assert breaker.state == "half-open"
        assert calls(breaker, "ok") == ["refused"], "the second is still under way"
        second.end()
        assert breaker.state == "closed"
    calls(breaker, DOWN)
    where["clock"].advance(60.0)
    only = fly(breaker)
    where["clock"].advance(100.0)
    only.end()
    assert breaker.state == "closed", "nobody else came for its place"


def test_a_state_that_is_in_use_is_kept(where: dict) -> None:
    if "arena" not in where:
        return
    breaker = CircuitBreaker("billing", window_calls=20, **where)
    record = breaker.gate.record
    calls(breaker, "ok")
    cells = record._records.opened()  # type: ignore[attr-defined]
    segment, cell = cells.find(record._digest)  # type: ignore[attr-defined]

    def kept() -> float:
        return float(segment.floats[segment.at(cell)]) - cells.now()

    for prepare, outcome, ended in (
        (breaker.reset, "ok", "well"),
        (breaker.force_closed, "ok", "well"),
        (breaker.force_closed, DOWN, "failed"),
        (breaker.force_open, "ok", "refused"),
    ):
        prepare()
        for _ in range(30):
            where["clock"].advance(3601.0)
            assert calls(breaker, outcome) == [ended]
            assert kept() == pytest.approx(KEPT)


def test_what_comes_late_is_dropped_under_the_lock_too() -> None:
    told: list[Any] = []
    machine = Machine(Rules(failures_in_a_row=1), Fixed(), 1, told.append)
    cell = [0.0] * WIDTH
    machine.catch_up(cell, 0.0, 0.0)
    old = machine.admit(cell, 0.0)
    machine.force(cell, 0.0, CLOSED, "reset")
    machine.settle(cell, 0.0, old, failed=True, slow=False)
    assert (cell[STATE], len(told)) == (CLOSED, 1)
    machine.settle(cell, 0.0, machine.admit(cell, 0.0), failed=True, slow=False)
    assert (cell[STATE], len(told)) == (OPEN, 2)


def test_a_lock_that_cannot_be_had_lets_no_probe_in(
    where: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    breaker = CircuitBreaker("billing", failures_in_a_row=1, **where)
    calls(breaker, DOWN)
    where["clock"].advance(60.0)

    def busy(self: object, step: object) -> None:
        raise TimeoutError

    with monkeypatch.context() as patched:
        patched.setattr(type(breaker.gate.record), "hand_out", busy)
        assert refusal(breaker) == 0.1
    assert calls(breaker, "ok") == ["well"]
