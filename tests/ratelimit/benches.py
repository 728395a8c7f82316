"""Benches for the laws of limiters: what we ship, each over each of its storages."""

from __future__ import annotations

import itertools
from pathlib import Path

import redis
from limits.storage import MemoryStorage

from falconkit.arena import Arena
from falconkit.ratelimit import Limiter, Store, TokenBucket, WindowLimiter
from falconkit.ratelimit.memory import MemoryBuckets
from falconkit.testing import ManualClock

_names = itertools.count()


class _Clocked:
    slack = 0.0

    def __init__(self) -> None:
        self.clock = ManualClock()

    def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)


class Memory(_Clocked):
    def __init__(self) -> None:
        super().__init__()
        self.store: Store = MemoryBuckets(clock=self.clock)

    def make(self, rate: str, burst: int | None = None) -> Limiter:
        return TokenBucket(rate, burst=burst, storage=self.store)


class InArena(_Clocked):
    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.arena = Arena(folder / f"arena{next(_names)}", clock=self.clock)

    def make(self, rate: str, burst: int | None = None) -> Limiter:
        return TokenBucket(rate, burst=burst, arena=self.arena)


class WindowInArena(InArena):
    def __init__(self, folder: Path, strategy: str) -> None:
        super().__init__(folder)
        self.strategy = strategy

    def make(self, rate: str, burst: int | None = None) -> Limiter:
        return WindowLimiter(rate, strategy=self.strategy, arena=self.arena, clock=self.clock)


class InRedis:
    """Redis has a clock of its own, so its keys are moved into the past instead."""

    slack = 10.0

    def __init__(self, url: str, strategy: str = "") -> None:
        # A busy test machine may take longer than a limiter is given.
        self.url = f"{url}?socket_timeout=10&socket_connect_timeout=10"
        self.strategy = strategy
        self.service = f"bench{next(_names)}"
        self.client = redis.Redis.from_url(url, decode_responses=True)

    def make(self, rate: str, burst: int | None = None) -> Limiter:
        if self.strategy:
            return WindowLimiter(
                rate, strategy=self.strategy, storage=self.url, service=self.service
            )
        return TokenBucket(rate, burst=burst, storage=self.url, service=self.service)

    def advance(self, seconds: float) -> None:
        for key in self.client.scan_iter(f"falconkit:{self.service}*"):
            left = self.client.pttl(key) - int(seconds * 1000)
            if left <= 0:
                self.client.delete(key)
                continue
            if not self.strategy:
                self.client.set(key, repr(float(self.client.get(key)) - seconds))
            self.client.pexpire(key, left)


class WindowInMemory:
    """The memory of `limits` reads the machine's clock, so its laws are those without time."""

    slack = 10.0

    def __init__(self, strategy: str) -> None:
        self.strategy = strategy
        self.storage = MemoryStorage()

    def make(self, rate: str, burst: int | None = None) -> Limiter:
        return WindowLimiter(rate, strategy=self.strategy, storage=self.storage)

    def advance(self, seconds: float) -> None:
        raise NotImplementedError
