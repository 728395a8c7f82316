from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from falconkit.arena import Arena
from falconkit.context import Context
from falconkit.events import Event, Events, LimiterFellBack, LimiterRecovered
from falconkit.ratelimit import TokenBucket, WindowLimiter, limit
from falconkit.ratelimit.fallback import Fallback
from falconkit.testing import ManualClock, Script, wait_until
from tests.services import free_port, redis_server


class Engine:
    """Something that can be away."""

    def __init__(self) -> None:
        self.away = False
        self.asked = 0

    def ask(self, word: str = "probe") -> str:
        self.asked += 1
        if self.away:
            raise ConnectionError("nobody there")
        return f"engine: {word}"


@pytest.fixture
def engine() -> Engine:
    return Engine()


@pytest.fixture
def heard() -> list[Event]:
    return []


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def ask(engine: Engine, heard: list[Event], clock: ManualClock) -> Callable[[str], str]:
    fallback = Fallback(
        "add",
        probe=engine.ask,
        failures=(OSError,),
        clock=clock,
        events=Events(heard.append),
    )

    def ask(word: str) -> str:
        return fallback.ask(engine.ask, lambda word: f"here: {word}", word)

    ask.status = fallback.status  # type: ignore[attr-defined]
    return ask


FELL = LimiterFellBack("add", "ConnectionError: nobody there")
BACK = LimiterRecovered("add")


def test_asks_the_engine_while_it_is_there(engine: Engine, heard: list[Event], ask) -> None:  # type: ignore[no-untyped-def]
    assert ask("hi") == "engine: hi"
    assert heard == []
    assert ask.status() == {"away": False, "fell_back": 0, "decided_here": 0}


def test_falls_back_says_so_once_and_leaves_the_engine_alone(  # type: ignore[no-untyped-def]
    engine: Engine, heard: list[Event], ask
) -> None:
    engine.away = True
    assert [ask("hi") for _ in range(50)] == ["here: hi"] * 50
    assert heard == [FELL]
    assert engine.asked == 1
    assert ask.status() == {"away": True, "fell_back": 1, "decided_here": 50}


def test_looks_again_at_most_once_a_second_and_only_when_asked(  # type: ignore[no-untyped-def]
    engine: Engine, clock: ManualClock, ask
) -> None:
    engine.away = True
    ask("hi")
    clock.advance(0.999)
    ask("hi")
    assert engine.asked == 1
    clock.advance(100.0)
    assert engine.asked == 1
    for probes in (2, 3):
        clock.advance(1.0)
        for _ in range(20):
            assert ask("hi") == "here: hi"
        wait_until(lambda probes=probes: engine.asked == probes)
    for thread in threading.enumerate():
        if thread.name == "falconkit-limiter-probe":
            thread.join(60)
    assert engine.asked == 3


def test_recovers_and_may_fall_back_again(  # type: ignore[no-untyped-def]
    engine: Engine, heard: list[Event], clock: ManualClock, ask
) -> None:
    engine.away = True
    ask("hi")
    engine.away = False
    clock.advance(1.0)
    assert ask("hi") == "here: hi", "the call that has it looked at does not wait"
    wait_until(lambda: heard == [FELL, BACK])
    assert ask("hi") == "engine: hi"
    engine.away = True
    assert ask("hi") == "here: hi"
    assert heard == [FELL, BACK, FELL]
    assert ask.status() == {"away": True, "fell_back": 2, "decided_here": 3}


def test_a_probe_that_hangs_is_not_joined_by_others(heard: list[Event]) -> None:
    clock, hang, probes = ManualClock(), threading.Event(), []

    def probe() -> None:
        probes.append(1)
        hang.wait(10)

    def away() -> str:
        raise ConnectionError

    fallback = Fallback("add", probe=probe, failures=(OSError,), clock=clock)
    for _ in range(5):
        fallback.ask(away, lambda: "here")
        clock.advance(1.0)
    wait_until(lambda: len(probes) == 1)
    clock.advance(5.0)
    fallback.ask(away, lambda: "here")
    assert len(probes) == 1
    hang.set()


def test_what_is_no_failure_of_the_engine_passes_through(engine: Engine, ask) -> None:  # type: ignore[no-untyped-def]
    def wrong(word: str) -> str:
        raise ZeroDivisionError

    fallback = Fallback("add", probe=engine.ask, failures=(OSError,))
    with pytest.raises(ZeroDivisionError):
        fallback.ask(wrong, engine.ask, "hi")
    assert fallback.status()["fell_back"] == 0


def test_threads_that_fail_together_tell_it_once() -> None:
    start, heard = threading.Barrier(20), []

    def away() -> str:
        start.wait()
        raise ConnectionError("nobody there")

    fallback = Fallback("add", probe=away, failures=(OSError,), events=Events(heard.append))
    threads = [
        threading.Thread(target=fallback.ask, args=(away, lambda: "here")) for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == [FELL]
    assert fallback.status()["decided_here"] == 20


def test_without_listeners_it_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def away() -> str:
        raise ConnectionError("nobody there")

    fallback = Fallback("add", probe=away, failures=(OSError,))
    with caplog.at_level(logging.WARNING, "falconkit.ratelimit"):
        fallback.ask(away, lambda: "here")
    assert [record.getMessage() for record in caplog.records] == [str(FELL)]


def test_events_wait_for_whoever_carries_them(caplog: pytest.LogCaptureFixture) -> None:
    def away() -> str:
        raise ConnectionError("nobody there")

    fallback = Fallback("add", probe=away, failures=(OSError,))
    news = fallback.carry()
    assert fallback.carry() is news
    fallback.ask(away, lambda: "here")
    assert list(news) == [FELL]
    assert caplog.records == []


def test_a_child_that_was_forked_during_a_probe_looks_for_itself() -> None:
    clock, hang = ManualClock(), threading.Event()
    parent = os.getpid()

    def probe() -> None:
        if os.getpid() == parent:
            hang.wait(10)

    def away() -> str:
        raise ConnectionError

    fallback = Fallback("add", probe=probe, failures=(OSError,), clock=clock)
    fallback.ask(away, lambda: "here")
    clock.advance(1.0)
    fallback.ask(away, lambda: "here")
    child = os.fork()
    if child == 0:  # pragma: no cover - in the child
        code = 1
        try:
            clock.advance(1.0)
            fallback.ask(lambda: "engine", lambda: "here")
            wait_until(lambda: fallback.ask(lambda: "engine", lambda: "here") == "engine", 60)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    hang.set()


@pytest.mark.parametrize(
    "kind", ["bucket", "fixed-window", "sliding-window-counter", "moving-window"]
)
def test_redis_goes_and_comes_back(kind: str, tmp_path: Path) -> None:
    port, clock = free_port(), ManualClock()
    arena = Arena(tmp_path / "arena")
    given = {"storage": f"redis://127.0.0.1:{port}", "arena": arena, "service": kind}
    if kind == "bucket":
        limiter = TokenBucket("3/hour", clock=clock, **given)
    else:
        limiter = WindowLimiter("3/hour", strategy=kind, clock=clock, **given)
    call = limit(limiter, key=lambda ctx, request: request)(Script(*[1] * 20))
    heard: list[Event] = []

    def left(key: str) -> int:
        ctx = Context(events=Events(heard.append))
        call(ctx, key)
        (decision,) = ctx.notes.of(object)
        return decision.remaining  # type: ignore[attr-defined]

    assert left("ann") == 2, "nobody has started Redis: the host decides"
    assert [type(event) for event in heard] == [LimiterFellBack]
    with redis_server(port):
        clock.advance(1.0)
        assert left("ann") == 1
        wait_until(lambda: limiter.status()["away"] is False)
        assert left("ann") == 2, "Redis knows nothing of what the host has decided"
        assert [type(event) for event in heard] == [LimiterFellBack, LimiterRecovered]
    assert left("ann") == 0
    assert [type(event) for event in heard][2:] == [LimiterFellBack]
    assert limiter.status()["fell_back"] == 2
    assert len(heard) == 3
    arena.close()
