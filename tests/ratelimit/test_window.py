from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limits.storage import MemoryStorage

from falconkit.arena import Arena
from falconkit.errors import ConfigurationError
from falconkit.ratelimit import Decision, WindowLimiter
from falconkit.testing import ManualClock


def in_arena(folder: Path, clock: ManualClock, rate: str, strategy: str) -> WindowLimiter:
    arena = Arena(folder / "arena", clock=clock)
    return WindowLimiter(rate, strategy=strategy, arena=arena, clock=clock)


def test_a_fixed_window_tells_everything(tmp_path: Path) -> None:
    clock = ManualClock()
    limiter = in_arena(tmp_path, clock, "3/minute", "fixed-window")
    assert limiter.take("ann", 2) == Decision(True, 3, 1, 0.0, 60.0, "3 per 1 minute", 60.0)
    clock.advance(20.0)
    assert limiter.take("ann", 2) == Decision(False, 3, 0, 40.0, 40.0, "3 per 1 minute", 60.0)
    assert limiter.take("ann", 4).retry_after is None
    clock.advance(40.0)
    assert limiter.take("ann", 3).allowed


def test_a_sliding_window_tells_everything(tmp_path: Path) -> None:
    clock = ManualClock(monotonic=64.0 * 20)
    limiter = in_arena(tmp_path, clock, "4 per 64 second", "sliding-window-counter")
    policy = "4 per 64 second"
    assert limiter.take("ann", 4) == Decision(True, 4, 0, 0.0, 128.0, policy, 64.0)
    assert limiter.take("ann") == Decision(False, 4, 0, 64.0, 128.0, policy, 64.0)
    clock.advance(68.0)
    assert limiter.take("ann") == Decision(True, 4, 0, 0.0, 124.0, policy, 64.0)
    assert limiter.take("ann").retry_after == 12.0
    assert limiter.take("ann", 4).retry_after == 60.0


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    steps=st.lists(st.tuples(st.floats(0, 40), st.integers(1, 5)), min_size=1, max_size=30),
    strategy=st.sampled_from(["fixed-window", "sliding-window-counter"]),
)
def test_a_refused_call_passes_when_it_says(steps: list[tuple[float, int]], strategy: str) -> None:
    clock = ManualClock()
    limiter = WindowLimiter("5/minute", strategy=strategy, arena=Arena(clock=clock), clock=clock)
    for seconds, cost in steps:
        clock.advance(seconds)
        decision = limiter.take("ann", cost)
        assert decision.retry_after is not None
        if not decision.allowed:
            assert 0 < decision.retry_after <= decision.reset_after + 1e-9
            clock.advance(decision.retry_after + 1e-3)
            assert limiter.take("ann", cost).allowed


def test_a_storage_of_limits_may_be_given() -> None:
    storage = MemoryStorage()
    one = WindowLimiter("2/hour", strategy="moving-window", storage=storage)
    two = WindowLimiter("2/hour", strategy="moving-window", storage=storage)
    assert (one.take("ann").remaining, two.take("ann").remaining) == (1, 0)
    refused = one.take("ann")
    assert not refused.allowed
    assert 3590 < (refused.retry_after or 0) <= 3600
    assert (one.status(), one.carry()) == ({}, None)


def test_memory_is_made_at_the_first_call_and_once() -> None:
    limiter = WindowLimiter("2/hour", storage="memory://")
    assert limiter._made is None
    assert [limiter.take("ann").allowed for _ in range(3)] == [True, True, False]
    made = limiter._made
    assert limiter._make() is made, "a thread that came second makes no other"


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"rate": "often"}, "the rate is 'often'"),
        ({"strategy": "leaky"}, "strategy is 'leaky': give one of fixed-window"),
        ({"strategy": "token-bucket"}, "a token bucket is a TokenBucket"),
        ({"strategy": "moving-window"}, "a ArenaStorage has no moving-window: use 'sliding"),
        ({"storage": "disk://"}, "is 'disk://': it begins with one of"),
        ({"storage": "redis://h:port"}, "the Redis URL cannot be read"),
    ],
)
def test_what_cannot_be_used_is_said_at_build(config: dict[str, str], why: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        WindowLimiter(**({"rate": "2/hour"} | config))
    assert why in str(error.value)


def test_a_cost_gives_nothing_back() -> None:
    with pytest.raises(ValueError, match="cannot cost -1"):
        WindowLimiter("2/hour", storage="memory://").take("ann", -1)


def test_shows_itself() -> None:
    limiter = WindowLimiter("2/hour", strategy="sliding-window-counter")
    assert repr(limiter) == "WindowLimiter('2 per 1 hour', strategy='sliding-window-counter')"
