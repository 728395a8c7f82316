"""A breaker's changes become a log line and a gauge, through the events alone."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from falconkit import Context
from falconkit.arena import Arena
from falconkit.circuitbreaker import CircuitBreaker, guard
from falconkit.events import Events
from falconkit.log import log_events
from falconkit.metrics import Metrics, count_events, expvar
from falconkit.testing import ManualClock
from tests.circuitbreaker.model import Fixed


def test_a_log_line_and_a_gauge(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = ManualClock()
    arena = Arena(folder, clock=clock)
    metrics = Metrics(arena=arena)
    events = Events(log_events(logging.getLogger("signals"), clock=clock), count_events(metrics))
    breaker = CircuitBreaker(
        "billing", failures_in_a_row=1, arena=arena, clock=clock, rng=Fixed(), wait=4.0
    )

    @guard(breaker)
    def call(ctx: Context, fails: bool) -> None:
        if fails:
            raise OSError

    def gauge() -> dict[str, float]:
        return {
            name[len("breaker.state{breaker=billing,state=") : -1]: value
            for name, value in expvar(metrics).items()
            if name.startswith("breaker.state{")
        }

    ctx = Context(events=events)
    with caplog.at_level(logging.INFO):
        call(ctx, False)
        assert gauge() == {"closed": 1}
        with pytest.raises(OSError):
            call(ctx, True)
        assert gauge() == {"closed": 0, "open": 1}
        clock.advance(3.0)
        call(ctx, False)
    assert gauge() == {"closed": 1, "half-open": 0, "open": 0}
    assert expvar(metrics)["event.breaker_changed"] == 3
    said = [record for record in caplog.records if record.name == "signals"]
    assert [record.getMessage() for record in said] == ["breaker changed"] * 3
    first = vars(said[0])
    assert (first["levelname"], first["breaker"], first["old"], first["new"]) == (
        "WARNING",
        "billing",
        "closed",
        "open",
    )
    assert (first["retry_after"], first["why"]) == (3.0, "1 failures in a row")
    assert json.dumps(first["generation"]) == "2"
    arena.close()
