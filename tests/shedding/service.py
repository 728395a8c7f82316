"""A backend in simulated time: so many servers, a queue, and processes with a bound before it."""

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
        self, *limits: AdaptiveLimit, clock: ManualClock, servers: int, service: float, seed: int
    ) -> None:
        self.service = service
        self._limits = limits
        self._clock = clock
        self._servers = servers
        self._rng = random.Random(seed)
        self._busy = 0
        self._queue: deque[tuple[float, AdaptiveLimit]] = deque()
        self._events: list[tuple[float, int, float, AdaptiveLimit | None]] = []
        self._order = itertools.count()

    def run(self, rate: float, seconds: float) -> Seen:
        """Offer ``rate`` calls a second, at random moments."""
        seen = Seen(seconds)
        end = self._clock.monotonic() + seconds
        self._at(self._clock.monotonic() + self._rng.expovariate(rate))
        while self._events[0][0] < end:
            at, _, began, limit = heapq.heappop(self._events)
            self._clock.advance(max(0.0, at - self._clock.monotonic()))
            if limit is None:
                self._at(at + self._rng.expovariate(rate))
                self._arrive(seen)
            else:
                self._end(began, limit, seen)
            seen.limits.append(sum(each.limit for each in self._limits))
        self._events = [each for each in self._events if each[3] is not None]
        heapq.heapify(self._events)
        self._clock.advance(max(0.0, end - self._clock.monotonic()))
        return seen

    def _arrive(self, seen: Seen) -> None:
        limit = self._rng.choice(self._limits)
        if not limit.enter():
            seen.refused += 1
            return
        now = self._clock.monotonic()
        if self._busy < self._servers:
            self._serve(now, limit)
        else:
            self._queue.append((now, limit))

    def _serve(self, began: float, limit: AdaptiveLimit) -> None:
        self._busy += 1
        took = self.service * self._rng.gammavariate(16, 1 / 16)
        self._at(self._clock.monotonic() + took, began, limit)

    def _end(self, began: float, limit: AdaptiveLimit, seen: Seen) -> None:
        now = self._clock.monotonic()
        self._busy -= 1
        limit.leave(began, now)
        seen.waits.append(now - began)
        if self._queue:
            self._serve(*self._queue.popleft())

    def _at(self, when: float, began: float = 0.0, limit: AdaptiveLimit | None = None) -> None:
        """Let a call arrive, or one that was let in by ``limit`` end."""
        heapq.heappush(self._events, (when, next(self._order), began, limit))
