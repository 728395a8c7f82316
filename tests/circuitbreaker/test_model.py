"""The breaker against the model, in one thread's order, with time as an argument."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from falconkit.arena import Arena
from falconkit.circuitbreaker import CircuitBreaker
from falconkit.errors import Failed, Overloaded, UpstreamTimeout
from falconkit.testing import ManualClock
from tests.circuitbreaker.conftest import Flight
from tests.circuitbreaker.model import Fixed, Model, Pass

# Eighths, so that every sum is exact, and a tenth of each window is a whole number of them.
waits = st.sampled_from([0.125, 0.5, 1.0, 2.5, 10.0, 40.0, 4000.0])
rules = st.fixed_dictionaries(
    {
        "failure_ratio": st.sampled_from([None, 0.25, 0.5, 1.0]),
        "failures_in_a_row": st.sampled_from([None, 1, 3]),
        "slow_after": st.sampled_from([None, 1.0]),
        "slow_ratio": st.sampled_from([0.5, 1.0]),
        "window": st.sampled_from([10.0, 40.0]),
        "window_calls": st.sampled_from([None, None, 12, 60]),
        "minimum_calls": st.sampled_from([None, 1, 4]),
        "wait": st.sampled_from([4.0, 8.0]),
        "max_wait": st.just(32.0),
        "probes": st.sampled_from([1, 3]),
        "probe_expires": st.just(8.0),
    }
).filter(lambda r: (r["failure_ratio"], r["failures_in_a_row"], r["slow_after"]) != (None,) * 3)
OUTCOMES: dict[str, tuple[Any, bool | None]] = {
    "well": ({"ok": True}, False),
    "its own fault": (Failed("no such account"), False),
    "failed": (UpstreamTimeout("no answer", upstream="billing"), True),
    "broken": (OSError("reset"), True),
    "not asked": (Overloaded(), None),
    "cancelled": (SystemExit(), None),
}
outcomes = st.sampled_from(["well", "well", *OUTCOMES, "failed", "failed"])


class Breaker(RuleBasedStateMachine):
    """Calls begin and end in any order while time goes on."""

    where = "private"

    def __init__(self) -> None:
        super().__init__()
        self.clock = ManualClock()
        self.flying: list[tuple[Flight, Pass, float]] = []

    @initialize(given=rules)
    def make(self, given: dict[str, Any]) -> None:
        place: dict[str, Any] = {"shared": False}
        if self.where == "arena":
            place = {"arena": Arena(directory=None, clock=self.clock)}
        self.breaker = CircuitBreaker("model", **given, **place, clock=self.clock, rng=Fixed())
        self.model = Model(self.breaker.rules)

    @rule(seconds=waits)
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: len(self.flying) < 5)
    @rule()
    def a_call_begins(self) -> None:
        now = self.clock.monotonic()
        expected = self.model.enter(now)
        flight = Flight(self.breaker)
        assert flight.let_in == (expected is not None)
        if expected is not None:
            self.flying.append((flight, expected, now))
        else:
            left = self.model.shows(now)["retry_after"]
            assert flight.refusal is not None
            assert flight.refusal.retry_after == (left or flight.refusal.retry_after)
            assert flight.refusal.retry_after > 0

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 4), outcome=outcomes)
    def a_call_ends(self, which: int, outcome: str) -> None:
        flight, let_in, began = self.flying.pop(which % len(self.flying))
        value, failed = OUTCOMES[outcome]
        flight.end(value)
        now = self.clock.monotonic()
        self.model.leave(now, let_in, failed, now - began)

    @rule(outcome=outcomes, times=st.integers(1, 12))
    def calls_one_after_another(self, outcome: str, times: int) -> None:
        value, failed = OUTCOMES[outcome]
        for _ in range(times):
            expected = self.model.enter(self.clock.monotonic())
            flight = Flight(self.breaker)
            assert flight.let_in == (expected is not None)
            if expected is not None:
                flight.end(value)
                self.model.leave(self.clock.monotonic(), expected, failed, 0.0)

    @rule(state=st.sampled_from(["forced-open", "forced-closed", "closed", "closed"]))
    def it_is_forced(self, state: str) -> None:
        force = {
            "forced-open": self.breaker.force_open,
            "forced-closed": self.breaker.force_closed,
            "closed": self.breaker.reset,
        }[state]
        force()
        self.model.force(self.clock.monotonic(), state)

    @invariant()
    def they_agree(self) -> None:
        if hasattr(self, "model"):
            shown = self.breaker.status()
            expected = self.model.shows(self.clock.monotonic())
            assert {name: shown[name] for name in expected} == expected

    def teardown(self) -> None:
        for flight, _, _ in self.flying:
            flight.end()


@pytest.mark.parametrize("where", ["private", "arena"])
def test_it_is_the_model(where: str) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    machine = type("Breaker", (Breaker,), {"where": where})
    run_state_machine_as_test(
        machine,
        settings=settings(
            deadline=None,
            max_examples=40,
            stateful_step_count=50,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
