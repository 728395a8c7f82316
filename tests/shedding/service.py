"""A service in simulated time: so many servers, a queue before them, and a bound before both."""

from __future__ import annotations

import heapq
import itertools
import random
from collections import deque
from dataclasses import dataclass, field

from falconkit.shedding import AdaptiveLimit
from falconkit.testing import ManualClock


@dataclass
class Seen:
    """What was seen in one stretch of time."""

    seconds: float
    limits: list[int] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    refused: int = 0

    @property
    def goodput(self) -> float:
        return len(self.waits) / self.seconds

    @property
    def limit(self) -> float:
        return sum(self.limits) / len(self.limits)

    def quantile(self, q: float) -> float:
        return sorted(self.waits)[int(q * (len(self.waits) - 1))]


class Service:
    """Serves ``servers`` calls at once, each in ``service`` seconds or so (gamma, shape 16)."""

    def __init__(
        self, limit: AdaptiveLimit, clock: ManualClock, *, servers: int, service: float, seed: int
    ) -> None:
        self.service = service
        self._limit = limit
        self._clock = clock
        self._servers = servers
        self._rng = random.Random(seed)
        self._busy = 0
        self._queue: deque[float] = deque()
        self._events: list[tuple[float, int, str, float]] = []
        self._order = itertools.count()

    def run(self, rate: float, seconds: float) -> Seen:
        """Offer ``rate`` calls a second, at random moments."""
        seen = Seen(seconds)
        end = self._clock.monotonic() + seconds
        self._at(self._clock.monotonic() + self._rng.expovariate(rate), "arrive", 0.0)
        while self._events[0][0] < end:
            at, _, what, began = heapq.heappop(self._events)
            self._clock.advance(max(0.0, at - self._clock.monotonic()))
            if what == "arrive":
                self._at(at + self._rng.expovariate(rate), "arrive", 0.0)
                self._arrive(seen)
            else:
                self._end(began, seen)
            seen.limits.append(self._limit.limit)
        self._events = [each for each in self._events if each[2] != "arrive"]
        heapq.heapify(self._events)
        self._clock.advance(max(0.0, end - self._clock.monotonic()))
        return seen

    def _arrive(self, seen: Seen) -> None:
        if not self._limit.enter():
            seen.refused += 1
            return
        now = self._clock.monotonic()
        if self._busy < self._servers:
            self._serve(now)
        else:
            self._queue.append(now)

    def _serve(self, began: float) -> None:
        self._busy += 1
        took = self.service * self._rng.gammavariate(16, 1 / 16)
        self._at(self._clock.monotonic() + took, "end", began)

    def _end(self, began: float, seen: Seen) -> None:
        now = self._clock.monotonic()
        self._busy -= 1
        self._limit.leave(began, now)
        seen.waits.append(now - began)
        if self._queue:
            self._serve(self._queue.popleft())

    def _at(self, when: float, what: str, began: float) -> None:
        heapq.heappush(self._events, (when, next(self._order), what, began))
