"""Buckets under real processes: exact, and bounded when a neighbour is killed or stopped."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from falconkit.arena import Arena
from falconkit.clock import system_clock
from falconkit.testing import ManualClock

HOUR = 3600.0

pytestmark = pytest.mark.usefixtures("kind_of_lock")


@pytest.mark.parametrize("key_of", [lambda turn: "one", lambda turn: f"key-{turn % 7}"])
def test_four_processes_admit_exactly_the_burst(
    folder: Path, child: Callable, key_of: Callable[[int], str]
) -> None:
    arena = Arena(folder)
    buckets = arena.buckets()

    def work(say: Callable) -> None:
        admitted = [buckets.take(key_of(turn), HOUR, 500)[0] for turn in range(4000)]
        arena.close()
        say([admitted.count(True), arena.status()["contended_count"]])

    children = [child(work) for _ in range(4)]
    heard = [each.hear() for each in children]
    keys = {key_of(turn) for turn in range(4000)}
    over = sum(admitted for admitted, _ in heard) - 500 * len(keys)
    # On a machine with much else to do a holder may not run for 5 ms; what is then let
    # through is paid, but the others may be done by then.
    assert 0 <= over <= sum(contended for _, contended in heard)


def test_what_is_guessed_is_paid_back(folder: Path, child: Callable) -> None:
    interval, burst = 0.002, 20

    def work(say: Callable) -> None:
        buckets = Arena(folder).buckets()
        cells = buckets._opened().cells
        which = ("one", interval, burst)
        digest = buckets._opened()._digest(which)
        admitted = turn = 0
        say("ready")
        begin = system_clock.monotonic()
        while system_clock.monotonic() < begin + 0.3:
            turn += 1
            # Every 50th call acts as if the lock could not be had.
            took = buckets.take if turn % 50 else None
            admitted += (
                took("one", interval, burst)
                if took
                else buckets._opened().guess(which, cells.find(digest), 1)
            )[0]
        say([admitted, begin, system_clock.monotonic()])

    children = [child(work) for _ in range(3)]
    for each in children:
        assert each.hear() == "ready"
    heard = [each.hear() for each in children]
    seconds = max(end for _, _, end in heard) - min(begin for _, begin, _ in heard)
    total = sum(admitted for admitted, _, _ in heard)
    # Each process may end with one guess that is not paid yet.
    assert total <= burst + seconds / interval + len(children)


def test_a_killed_holder_does_not_keep_the_lock(folder: Path, child: Callable) -> None:
    arena = Arena(folder)
    buckets = arena.buckets()

    def hold(say: Callable) -> None:
        cells = buckets._opened().cells
        for lock in cells.locks:
            assert lock.acquire()
        say("held")
        signal.pause()

    for turn in range(5):
        holder = child(hold)
        assert holder.hear() == "held"
        holder.kill()
        assert buckets.take("ann", HOUR, 5)[0], turn
    assert not buckets.take("ann", HOUR, 5)[0]
    assert arena.status()["contended_count"] == 0


def test_a_stopped_holder_does_not_stop_the_others(folder: Path, child: Callable) -> None:
    arena = Arena(folder)
    buckets = arena.buckets()
    assert buckets.take("ann", HOUR, 3)[0]

    def hold(say: Callable) -> None:
        for lock in buckets._opened().cells.locks:
            assert lock.acquire()
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
        say("held")
        signal.sigwait([signal.SIGUSR1])
        for lock in buckets._opened().cells.locks:
            lock.release()
        say("released")

    holder = child(hold)
    assert holder.hear() == "held"
    holder.stop()
    # Two tokens are left; each decision is made without the lock, and counted.
    assert [buckets.take("ann", HOUR, 3)[0] for _ in range(4)] == [True, True, False, False]
    assert arena.status()["contended_count"] == 4
    table = arena.table("hits", 1)
    assert table.read("x") is None

    holder.signal(signal.SIGCONT)
    holder.signal(signal.SIGUSR1)
    assert holder.hear() == "released"
    # Paid back: a new process, which knows the shared cell alone, gets nothing either.
    assert not buckets.take("ann", HOUR, 3)[0]
    other = child(lambda say: say(Arena(folder).buckets().take("ann", HOUR, 3)))
    assert other.hear()[0] is False
    assert arena.status()["contended_count"] == 4


def test_guesses_refill_with_time(folder: Path, child: Callable, clock: ManualClock) -> None:
    arena = Arena(folder, clock=clock)
    buckets = arena.buckets()
    buckets.take("other", 1.0, 2)

    def hold(say: Callable) -> None:
        for lock in buckets._opened().cells.locks:
            assert lock.acquire()
        say("held")
        signal.pause()

    holder = child(hold)
    assert holder.hear() == "held"
    holder.stop()
    for _ in range(3):
        assert [buckets.take("ann", 1.0, 2) for _ in range(3)] == [
            (True, 1.0),
            (True, 2.0),
            (False, 2.0),
        ]
        clock.advance(2.0)
    assert buckets.take("ann", 1.0, 2) == (True, 1.0)
    holder.kill()
    assert buckets.take("ann", 1.0, 2) == (True, 2.0), "one was owed"
    assert buckets.take("ann", 1.0, 2) == (False, 2.0)


def test_a_killed_workers_own_child_keeps_no_lock(
    folder: Path, child: Callable, gone: Callable
) -> None:
    """Its file descriptors would: a flock ends with the last copy of its open file."""
    buckets = Arena(folder).buckets()
    assert buckets.take("ann", HOUR, 2)[0]

    def worker(say: Callable) -> None:
        for lock in buckets._opened().cells.locks:
            assert lock.acquire()
        grandchild = os.fork()
        if grandchild == 0:
            say(["grandchild", os.getpid()])
            signal.pause()
            os._exit(0)
        signal.pause()

    process = child(worker)
    _, grandchild = process.hear()
    process.kill()
    try:
        os.kill(grandchild, 0)  # lives
        arena = Arena(folder)
        assert arena.buckets().take("ann", HOUR, 2)[0]
        assert not arena.buckets().take("ann", HOUR, 2)[0]
        assert arena.status()["contended_count"] == 0
    finally:
        os.kill(grandchild, signal.SIGKILL)
    gone(grandchild)


def test_what_was_opened_before_the_fork_is_opened_anew(folder: Path, child: Callable) -> None:
    arena = Arena(folder)
    buckets = arena.buckets()
    # As with preload_app: the parent has used it, and holds its locks open.
    assert buckets.take("ann", HOUR, 3)[0]
    parents = {lock._fd for lock in buckets._opened().cells.locks}

    def work(say: Callable) -> None:
        say([buckets._ledger is None, [os.path.exists(f"/proc/self/fd/{fd}") for fd in parents]])
        say(buckets.take("ann", HOUR, 3)[0])

    for _ in range(2):
        process = child(work)
        assert process.hear() == [True, [False] * len(parents)]
        assert process.hear() is True
        assert process.wait() == 0
    assert not buckets.take("ann", HOUR, 3)[0]


def test_kill_under_load_leaves_no_lock_and_admits_no_more(folder: Path, child: Callable) -> None:
    burst = 100_000

    def work(say: Callable) -> None:
        buckets = Arena(folder).buckets()
        counted = Arena(folder).slots("test").series("admitted", 1)
        while True:
            for _ in range(50):
                if buckets.take("one", HOUR, burst)[0]:
                    counted.add(0, 1.0)
            say("on")

    arena = Arena(folder)
    read = arena.slots("test").read
    seen = 0.0
    for _ in range(10):
        pair = [child(work), child(work)]
        for each in pair:
            assert each.hear() == "on"
        for each in pair:
            each.kill()
        now = read()["admitted"][0]
        assert now >= seen
        seen = now
    left = 0
    while arena.buckets().take("one", HOUR, burst)[0]:
        left += 1
    # A worker killed between being admitted and counting it loses that one. One killed
    # after it gave up waiting for another one that was dying has not paid for that: on a
    # busy machine that is some, each time. A bucket that were lost would be thousands.
    assert burst - 20 <= left + seen <= burst + 1_000
    assert arena.status()["contended_count"] == 0


def test_closing_pays_what_is_owed(folder: Path, child: Callable) -> None:
    arena = Arena(folder)
    buckets = arena.buckets()
    which = ("ann", HOUR, 3)
    assert buckets._opened().guess(which, None, 2)[0]
    other = Arena(folder).buckets()
    assert other.peek(*which) == 0.0
    arena.close()
    assert other.peek(*which) == pytest.approx(2 * HOUR, abs=60.0)
    arena.close()
    assert [other.take(*which)[0] for _ in range(2)] == [True, False]
