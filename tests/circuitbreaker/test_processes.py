"""One breaker in several real processes: killed, stopped, and forked from one that has it open."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from falconkit import Context
from falconkit.arena import Arena
from falconkit.circuitbreaker import CircuitBreaker, guard
from falconkit.errors import CircuitOpen
from falconkit.events import BreakerChanged, BreakerSeen, Events
from falconkit.testing import ManualClock, wait_until

HOUR = 3600.0


@pytest.fixture(params=["mutex", "flock"], autouse=True)
def kind_of_lock(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "flock":
        monkeypatch.setattr("falconkit.arena.mutex._library", lambda: None)


def attempt(breaker: CircuitBreaker, outcome: object = "well", events: Events | None = None) -> str:
    """Make one call, and say how it ended."""

    @guard(breaker)
    def call(ctx: Context, request: object) -> object:
        if isinstance(request, BaseException):
            raise request
        return request

    try:
        call(Context(events=events), outcome)
    except CircuitOpen:
        return "refused"
    except OSError:
        return "failed"
    return "well"


def breaker_in(folder: Path, **config: Any) -> CircuitBreaker:
    arena = Arena(folder, clock=config.get("clock", ManualClock()))
    config = {"wait": HOUR, "max_wait": HOUR, "clock": ManualClock()} | config
    return CircuitBreaker("shared", arena=arena, **config)


def test_failures_spread_over_workers_open_one_breaker(folder: Path, child: Callable) -> None:
    # 6 workers with 2 failures each: none of them alone has the 10 calls that are needed.
    def work(say: Callable) -> None:
        breaker = breaker_in(folder)
        say([attempt(breaker, OSError()) for _ in range(2)])

    ended = [child(work).hear() for _ in range(6)]
    assert ended == [["failed", "failed"]] * 5 + [["refused", "refused"]]
    breaker = breaker_in(folder)
    assert breaker.status()["state"] == "open"
    assert attempt(breaker) == "refused"


def test_no_call_of_any_worker_is_lost(folder: Path, child: Callable) -> None:
    def work(say: Callable) -> None:
        arena = Arena(folder, clock=ManualClock())
        breaker = CircuitBreaker(
            "shared",
            arena=arena,
            wait=HOUR,
            max_wait=HOUR,
            clock=ManualClock(),
            minimum_calls=100_000,
        )
        for turn in range(2000):
            attempt(breaker, OSError() if turn % 20 == 0 else "well")
        contended = arena.status()["contended_count"]
        arena.close()
        say(contended)

    children = [child(work) for _ in range(4)]
    heard = [each.hear() for each in children]
    status = breaker_in(folder, minimum_calls=100_000).status()
    if any(heard):
        # On a busy machine what was done without the lock may not be paid at the end.
        assert 7000 <= status["calls"] <= 8000
    else:
        assert (status["calls"], status["failures"]) == (8000, 400)


def test_a_ratio_is_that_of_all_workers(folder: Path, child: Callable) -> None:
    """One worker that alone would open is held closed by the successes of another."""
    config = {"window_calls": 100, "minimum_calls": 10}

    def good(say: Callable) -> None:
        breaker = breaker_in(folder, **config)
        say([attempt(breaker) for _ in range(50)].count("well"))
        signal.pause()

    assert child(good).hear() == 50  # it lives, and has told nobody of them
    breaker = breaker_in(folder, **config)
    for _ in range(49):
        assert attempt(breaker, OSError()) == "failed"
    assert breaker.state == "closed"
    assert attempt(breaker, OSError()) == "failed"
    assert breaker.state == "open"


def test_so_many_probes_over_all_workers(folder: Path, child: Callable) -> None:
    probes = 3
    clock = ManualClock()
    config = {"failures_in_a_row": 1, "probes": probes, "clock": clock, "wait": 8.0}
    breaker = breaker_in(folder, **config)
    attempt(breaker, OSError())
    assert breaker.state == "open"
    clock.advance(8.0)

    def work(say: Callable) -> None:
        mine = breaker_in(folder, **config)

        @guard(mine)
        def call(ctx: Context, request: object) -> None:
            say("in")
            signal.sigwait([signal.SIGUSR1])

        while True:
            try:
                call(Context(), None)
            except CircuitOpen:
                # On a busy machine one may be refused because another has the lock for long.
                if mine.status()["probes"] < probes:
                    continue
            say("done")
            return

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        children = [child(work) for _ in range(6)]
        first = [each.hear() for each in children]
        assert first.count("in") == probes
        assert breaker.status()["probes"] == probes
        assert attempt(breaker) == "refused"
        for each, said in zip(children, first, strict=True):
            if said == "in":
                each.signal(signal.SIGUSR1)
                assert each.hear() == "done"
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    assert breaker.state == "closed"
    assert attempt(breaker) == "well"


def test_a_killed_probe_gives_its_place_back(folder: Path, child: Callable) -> None:
    clock = ManualClock()
    config = {"failures_in_a_row": 1, "clock": clock, "wait": 8.0, "probe_expires": 30.0}
    breaker = breaker_in(folder, **config)
    attempt(breaker, OSError())
    clock.advance(8.0)

    def work(say: Callable) -> None:
        @guard(breaker_in(folder, **config))
        def call(ctx: Context, request: object) -> None:
            say("in")
            signal.pause()

        call(Context(), None)

    prober = child(work)
    assert prober.hear() == "in"
    prober.kill()
    assert attempt(breaker) == "refused"
    clock.advance(29.5)
    assert attempt(breaker) == "refused"
    assert breaker.status()["probes"] == 1
    clock.advance(0.5)
    assert attempt(breaker) == "well"
    assert breaker.state == "closed"


def test_a_stopped_worker_does_not_stop_the_others(folder: Path, child: Callable) -> None:
    config = {"failures_in_a_row": 3}

    def work(say: Callable) -> None:
        breaker = breaker_in(folder, **config)
        attempt(breaker)
        say("on")
        while True:
            attempt(breaker)

    stopped = child(work)
    assert stopped.hear() == "on"
    stopped.stop()
    breaker = breaker_in(folder, **config)
    assert [attempt(breaker, OSError()) for _ in range(4)] == ["failed"] * 3 + ["refused"]


def test_one_stopped_with_the_lock_does_not_stop_the_others(folder: Path, child: Callable) -> None:
    """They decide by a copy, and what they did is done to the shared state later."""
    # A window so long that nothing but the copy makes the worker look again.
    config = {"failures_in_a_row": 3, "window": 80_000.0}

    def hold(say: Callable) -> None:
        breaker = breaker_in(folder, **config)
        attempt(breaker)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        locks = breaker.gate.record._records.opened().locks
        for lock in locks:
            assert lock.acquire()
        say("held")
        signal.sigwait([signal.SIGUSR1])
        for lock in locks:
            lock.release()
        say("released")
        signal.pause()

    holder = child(hold)
    assert holder.hear() == "held"
    holder.stop()
    arena = Arena(folder)
    clock = ManualClock()
    breaker = CircuitBreaker("shared", arena=arena, wait=HOUR, max_wait=HOUR, clock=clock, **config)
    assert [attempt(breaker) for _ in range(20)] == ["well"] * 20
    assert [attempt(breaker, OSError()) for _ in range(4)] == ["failed"] * 3 + ["refused"]
    assert breaker.state == "open"
    assert arena.status()["contended_count"] >= 1

    holder.signal(signal.SIGCONT)
    holder.signal(signal.SIGUSR1)
    assert holder.hear() == "released"

    def paid() -> bool:
        # A refused call will do.
        clock.advance(0.1)
        assert attempt(breaker) == "refused"
        return breaker_in(folder, **config).state == "open"

    wait_until(paid, what="the others know that it is open")
    status = breaker_in(folder, **config).status()
    assert (status["state"], status["generation"]) == ("open", 2)


def test_killed_under_load_it_is_whole(folder: Path, child: Callable) -> None:
    config = {"failures_in_a_row": 3, "wait": 0.001, "max_wait": 0.001, "probes": 2}

    def work(say: Callable) -> None:
        clock = ManualClock()
        breaker = breaker_in(folder, clock=clock, **config)
        turn = 0
        while True:
            turn += 1
            clock.advance(0.125)
            attempt(breaker, OSError() if turn % 3 else "well")
            if turn % 50 == 0:
                say("on")

    for _ in range(8):
        pair = [child(work), child(work)]
        for each in pair:
            assert each.hear() == "on"
        for each in pair:
            each.kill()
        clock = ManualClock(monotonic=1e6)
        breaker = breaker_in(folder, clock=clock, **config)
        assert breaker.state in ("closed", "open", "half-open")
        clock.advance(60.0)
        ended = [attempt(breaker) for _ in range(4)]
        assert ended == ["well"] * 4
        assert breaker.state == "closed"
        breaker.reset()


def test_forced_in_one_worker_it_is_forced_in_all(folder: Path, child: Callable) -> None:
    breaker = breaker_in(folder)
    assert attempt(breaker) == "well"
    child(lambda say: say(breaker_in(folder).force_open() or "forced")).hear()
    assert attempt(breaker) == "refused"
    child(lambda say: say(breaker_in(folder).force_closed() or "forced")).hear()
    assert [attempt(breaker, OSError()) for _ in range(30)] == ["failed"] * 30
    child(lambda say: say(breaker_in(folder).reset() or "reset")).hear()
    assert attempt(breaker) == "well"
    assert breaker.status()["generation"] == 4


def test_the_change_is_told_once_and_seen_by_each(folder: Path, child: Callable) -> None:
    def work(say: Callable) -> None:
        heard: list[Any] = []
        breaker = breaker_in(folder, failures_in_a_row=2)
        events = Events(heard.append)
        attempt(breaker, events=events)
        say("ready")
        signal.sigwait([signal.SIGUSR1])
        attempt(breaker, OSError(), events)
        say([[type(each).__name__, getattr(each, "state", "")] for each in heard])

    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
    try:
        children = []
        for _ in range(4):
            children.append(child(work))
            assert children[-1].hear() == "ready"
        heard = []
        for each in children:
            each.signal(signal.SIGUSR1)
            heard.append(each.hear())
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR1])
    seen_closed, seen_open = ["BreakerSeen", "closed"], ["BreakerSeen", "open"]
    changed = ["BreakerChanged", ""]
    assert sorted(map(len, heard)) == [1, 2, 2, 3]
    assert heard[0] == [seen_closed]
    assert sorted(heard[1]) == sorted([seen_closed, changed, seen_open])
    assert heard[2] == heard[3] == [seen_closed, seen_open]
    assert BreakerSeen("a", "open") != BreakerChanged("a", "closed", "open", 1.0, "", 2)


def test_a_fork_of_a_process_that_has_it_open(folder: Path, child: Callable) -> None:
    """As with preload_app: the worker opens its own, and has a counter of its own."""
    breaker = breaker_in(folder)
    alone = CircuitBreaker("alone", shared=False, failures_in_a_row=2, clock=ManualClock())
    attempt(breaker)
    attempt(alone, OSError())
    mine = breaker.gate.record.mine

    def work(say: Callable) -> None:
        opened = breaker.gate.record.cells is not None
        attempt(breaker)
        ended = [attempt(alone, OSError()), attempt(alone)]
        say([opened, breaker.gate.record.mine != mine, ended])

    assert child(work).hear() == [False, True, ["failed", "refused"]]
    assert attempt(alone) == "well"
    assert breaker.status()["calls"] == 2


def test_forked_while_another_thread_had_its_lock(folder: Path, child: Callable) -> None:
    alone = CircuitBreaker("alone", shared=False, failures_in_a_row=1, clock=ManualClock())
    breaker = breaker_in(folder, failures_in_a_row=1)
    attempt(breaker)
    with alone.gate.record._lock, breaker.gate.record._records.threads:
        forked = child(
            lambda say: say([attempt(alone, OSError()), attempt(breaker, OSError()), os.getpid()])
        )
        assert forked.hear()[:2] == ["failed", "failed"]


def test_a_worker_without_a_counter_counts_by_changes(folder: Path) -> None:
    breaker = breaker_in(folder)
    attempt(breaker)
    breaker.gate.record.mine = 0
    for _ in range(5):
        attempt(breaker)
    assert breaker.status()["calls"] == 6


def test_a_full_disk_makes_it_private(
    folder: Path, child: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    breaker = breaker_in(folder, failures_in_a_row=2)
    monkeypatch.setattr("falconkit.arena.segment.reserve", full)
    assert [attempt(breaker, OSError()) for _ in range(3)] == ["failed", "failed", "refused"]
