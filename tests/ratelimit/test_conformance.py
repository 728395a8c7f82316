from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from falconkit.ratelimit import Decision, Limiter
from falconkit.testing import conform_limiter as suite
from tests.ratelimit.benches import InArena, InRedis, Memory, WindowInArena, WindowInMemory

EVERY = suite.LAWS + suite.BUCKET_LAWS
WINDOWS = ("fixed-window", "sliding-window-counter")
TIMED = {suite.a_refused_call_passes_when_it_says}
# The lock of `limits`' own memory is dropped while others wait for it, so the
# first hits of a window may be lost: seen there, and no concern of ours.
INEXACT = {suite.threads_are_counted_exactly}


def named(law: object) -> str:
    return str(getattr(law, "__name__", law))


@pytest.mark.parametrize("law", EVERY, ids=named)
def test_bucket_in_memory(law: suite.Law) -> None:
    law(Memory())


@pytest.mark.parametrize("law", EVERY, ids=named)
def test_bucket_in_arena(law: suite.Law, tmp_path: Path) -> None:
    law(InArena(tmp_path))


@pytest.mark.parametrize("law", EVERY, ids=named)
def test_bucket_in_redis(law: suite.Law, redis_url: str) -> None:
    law(InRedis(redis_url))


@pytest.mark.parametrize("strategy", WINDOWS)
@pytest.mark.parametrize("law", suite.LAWS, ids=named)
def test_windows_in_arena(law: suite.Law, strategy: str, tmp_path: Path) -> None:
    law(WindowInArena(tmp_path, strategy))


@pytest.mark.parametrize("strategy", WINDOWS)
@pytest.mark.parametrize("law", suite.LAWS, ids=named)
def test_windows_in_redis(law: suite.Law, strategy: str, redis_url: str) -> None:
    law(InRedis(redis_url, strategy))


@pytest.mark.parametrize("strategy", [*WINDOWS, "moving-window"])
@pytest.mark.parametrize(
    "law", [law for law in suite.LAWS if law not in TIMED | INEXACT], ids=named
)
def test_windows_in_memory(law: suite.Law, strategy: str) -> None:
    law(WindowInMemory(strategy))


def test_moving_window_in_redis(redis_url: str) -> None:
    suite.conform_limiter(
        lambda: InRedis(redis_url, "moving-window"),
        [law for law in suite.LAWS if law not in TIMED],
    )


class Wrong(Memory):
    """Limiters that break one law each."""

    def __init__(self, change: Callable[[Limiter, str, int, Decision], Decision]) -> None:
        super().__init__()
        self.change = change

    def make(self, rate: str, burst: int | None = None) -> Limiter:
        inner, change = super().make(rate, burst), self.change

        class Changed:
            def take(self, key: str, cost: int = 1) -> Decision:
                return change(inner, key, cost, inner.take(key, max(cost, 0)))

        return Changed()


def greedy(inner: Limiter, key: str, cost: int, decision: Decision) -> Decision:
    if not decision.allowed:
        inner.take(key, decision.remaining)
    return decision


@pytest.mark.parametrize(
    ("law", "change", "why"),
    [
        ("a_cost_above_the_limit_never_passes", greedy, "all 5 are still there: expected True"),
        (
            "a_call_may_be_free_but_gives_nothing",
            lambda inner, key, cost, decision: decision,
            "a cost of -1 was taken",
        ),
        (
            "a_refused_call_passes_when_it_says",
            lambda inner, key, cost, decision: replace(decision, retry_after=None),
            "retry_after is None",
        ),
        (
            "tokens_come_back_one_by_one",
            lambda inner, key, cost, decision: replace(decision, retry_after=3600.0),
            "retry_after of an empty bucket: expected 720.0 within 0.0 s, got 3600.0",
        ),
    ],
)
def test_the_suite_says_which_law_is_broken_and_how(
    law: str, change: Callable[[Limiter, str, int, Decision], Decision], why: str
) -> None:
    with pytest.raises(AssertionError) as error:
        suite.conform_limiter(lambda: Wrong(change), [getattr(suite, law)])
    assert str(error.value).startswith(f"{law}: ")
    assert why in str(error.value)
