"""What a breaker is to do, written down as plainly as can be: lists, and no float in a cell."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from falconkit.circuitbreaker.rules import Rules

CHANCE = 0.5
"""What the model's jitter is drawn as."""


class Fixed:
    """Chance that always draws the same."""

    def random(self) -> float:
        return CHANCE


@dataclass(frozen=True)
class Pass:
    """What a call was let in with."""

    generation: int
    probe: int = -1


@dataclass
class Model:
    rules: Rules
    state: str = "closed"
    generation: int = 1
    since: float = -math.inf
    until: float = 0.0
    last_wait: float = 0.0
    trips: int = 0
    calls: list[tuple[float, bool, bool]] = field(default_factory=list)
    under_way: dict[int, float] = field(default_factory=dict)
    well: int = 0
    _numbers: int = 0

    def enter(self, now: float) -> Pass | None:
        """Return None when the call is refused."""
        if self.state in ("closed", "forced-closed"):
            return Pass(self.generation)
        if self.state == "forced-open" or (self.state == "open" and now < self.until):
            return None
        if self.state == "open":
            self._become("half-open", now)
        alive = sum(expires > now for expires in self.under_way.values())
        if self.well + alive >= self.rules.probes:
            return None
        if self.well + len(self.under_way) >= self.rules.probes:
            oldest = min(self.under_way, key=self.under_way.__getitem__)
            del self.under_way[oldest]
        self._numbers += 1
        self.under_way[self._numbers] = now + self.rules.probe_expires
        return Pass(self.generation, self._numbers)

    def leave(self, now: float, let_in: Pass, failed: bool | None, took: float) -> None:
        if let_in.generation != self.generation:
            return
        slow = self.rules.slow_after is not None and took > self.rules.slow_after
        if self.state == "half-open":
            self._probed(now, let_in.probe, failed, slow)
        elif self.state == "closed" and failed is not None:
            self.calls.append((now, failed, slow))
            if (failed or slow) and self._too_many(now):
                self._trip(now)

    def force(self, now: float, state: str) -> None:
        self.trips, self.last_wait = 0, 0.0
        self._become(state, now)

    def _probed(self, now: float, probe: int, failed: bool | None, slow: bool) -> None:
        if probe not in self.under_way:
            return  # it took too long, and its place is another's
        if failed is None:
            del self.under_way[probe]
        elif failed or slow:
            self._trip(now)
        else:
            del self.under_way[probe]
            self.well += 1
            if self.well == self.rules.probes:
                self._become("closed", now)

    def _trip(self, now: float) -> None:
        if self.state == "closed" and now - self.since >= self.last_wait:
            self.trips = 0
        self.trips += 1
        self.last_wait = min(self.rules.max_wait, self.rules.wait * 2 ** (self.trips - 1))
        self.until = now + self.last_wait * (1 + CHANCE) / 2
        self._become("open", now)

    def _become(self, state: str, now: float) -> None:
        self.state, self.since = state, now
        self.generation += 1
        self.calls, self.under_way, self.well = [], {}, 0

    def window(self, now: float) -> list[tuple[float, bool, bool]]:
        if self.rules.window_calls is not None:
            return self.calls[-self.rules.window_calls :]
        tenth = self.rules.window / 10
        return [each for each in self.calls if each[0] // tenth > now // tenth - 10]

    def row(self) -> int:
        successes = [at for at, (_, failed, _) in enumerate(self.calls) if not failed]
        return len(self.calls) - (successes[-1] + 1 if successes else 0)

    def _too_many(self, now: float) -> bool:
        rules = self.rules
        if (
            rules.failures_in_a_row is not None
            and self.row() >= rules.failures_in_a_row
            and len(self.calls) >= (rules.minimum_calls or 0)
        ):
            return True
        calls = self.window(now)
        if len(calls) < (10 if rules.minimum_calls is None else rules.minimum_calls):
            return False
        failures = sum(failed for _, failed, _ in calls)
        slow = sum(slow for _, _, slow in calls)
        if rules.failure_ratio is not None and failures / len(calls) >= rules.failure_ratio:
            return True
        return rules.slow_after is not None and slow / len(calls) >= rules.slow_ratio

    def shows(self, now: float) -> dict[str, object]:
        """Return what `CircuitBreaker.status` has to say."""
        calls = self.window(now)
        return {
            "state": self.state,
            "generation": self.generation,
            "trips": self.trips,
            "calls": len(calls),
            "failures": sum(failed for _, failed, _ in calls),
            "slow": sum(slow for _, _, slow in calls),
            "failures_in_a_row": self.row(),
            "probes": sum(expires > now for expires in self.under_way.values()),
            "retry_after": max(0.0, self.until - now) if self.state == "open" else 0.0,
        }
