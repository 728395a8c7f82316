"""The lock: between threads, between files, and what is done when it cannot be had."""

from __future__ import annotations

import dis
import os
import sys
import threading
from pathlib import Path

import pytest

from falconkit.arena import buckets as module
from falconkit.arena import lock as locking
from falconkit.arena.lock import TAKE, UNLOCK, WAIT, Lock, flock_call
from falconkit.testing import ManualClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_two_files_opened_apart_exclude_each_other(path: Path) -> None:
    clock = ManualClock()
    ours, theirs = Lock(path, clock=clock), Lock(path, clock=clock)
    assert ours.acquire()
    assert not theirs.acquire()
    assert sum(clock.slept) == pytest.approx(WAIT, abs=2e-4)
    ours.release()
    assert theirs.acquire()
    theirs.release()


def test_the_wait_for_a_thread_is_bounded_too(path: Path) -> None:
    lock = Lock(path)
    assert lock.acquire()
    had = []
    thread = threading.Thread(target=lambda: had.append(lock.acquire()))
    thread.start()
    thread.join()
    assert had == [False]
    lock.release()
    assert lock.acquire()


def test_the_long_way_shuts_the_short_one(path: Path) -> None:
    lock = Lock(path)
    assert not lock.shut
    lock.acquire()
    assert lock.shut
    lock.release()
    assert not lock.shut


def test_giving_up_leaves_nothing_locked(path: Path) -> None:
    clock = ManualClock()
    ours, theirs, third = (Lock(path, clock=clock) for _ in range(3))
    assert ours.acquire()
    assert not theirs.acquire()
    assert not theirs.shut
    ours.release()
    assert third.acquire()


def test_what_a_thread_on_the_short_way_left_locked_is_unlocked(path: Path) -> None:
    ours, theirs = Lock(path), Lock(path, clock=ManualClock())
    ours.shut = True
    assert next(ours.tries) == 0
    assert not theirs.acquire()
    assert ours.acquire()
    ours.release()
    assert theirs.acquire()


def test_a_closed_lock_cannot_be_had(path: Path) -> None:
    lock = Lock(path, clock=ManualClock())
    fd = lock._fd
    lock.close()
    lock.close()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)
    assert next(lock.tries) != 0
    assert not lock.acquire()


def test_it_is_closed_when_nobody_uses_it(path: Path) -> None:
    fd = Lock(path)._fd
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(fd)


@pytest.fixture
def without_ctypes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ctypes", None)
    flock_call.cache_clear()
    yield  # type: ignore[misc]
    monkeypatch.undo()
    flock_call.cache_clear()


@pytest.mark.usefixtures("without_ctypes")
def test_without_ctypes_there_is_the_long_way_only(path: Path) -> None:
    ours, theirs = Lock(path), Lock(path, clock=ManualClock())
    assert ours.shut
    assert ours.acquire()
    assert not theirs.acquire()
    ours.release()
    assert ours.shut
    assert theirs.acquire()


def test_the_numbers_are_those_of_the_platform() -> None:
    import fcntl

    assert (TAKE, locking.SHARE, UNLOCK) == (
        fcntl.LOCK_EX | fcntl.LOCK_NB,
        fcntl.LOCK_SH | fcntl.LOCK_NB,
        fcntl.LOCK_UN,
    )


def test_nothing_is_called_between_locking_and_unlocking() -> None:
    """CPython switches threads after a call or a jump back: there is neither in the short way."""
    code = list(dis.get_instructions(module.Buckets.take))
    start = max(at for at, step in enumerate(code) if step.opname == "FOR_ITER")
    held = code[start:]
    calls = [at for at, step in enumerate(held) if step.opname.startswith("CALL")]
    assert calls, "the short way unlocks by a call"
    for at in calls:
        before = [step.argval for step in held[max(0, at - 6) : at]]
        assert {"unlock", "_settle", "mend"} & set(map(str, before))
    # The only jump back is that of a try that failed.
    backs = [step for step in held if step.opname.startswith("JUMP_BACKWARD")]
    assert len(backs) <= 1


@pytest.mark.parametrize("private", [True, False])
def test_the_gil_keeps_threads_apart_in_the_short_way(
    path: Path, private: bool, switch_often: None
) -> None:
    lock = Lock(None if private else path)
    cell = memoryview(bytearray(8)).cast("d")

    def work() -> None:
        for _ in range(3000):
            for failed in lock.tries:
                if failed:
                    continue
                before = cell[0]
                after = before + 1.0
                cell[0] = after
                lock.unlock()
                break

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cell[0] == 30_000.0


def test_short_and_long_way_keep_threads_apart(path: Path, switch_often: None) -> None:
    lock = Lock(path)
    cell = memoryview(bytearray(8)).cast("d")

    def work() -> None:
        for turn in range(2000):
            (_short_way if turn % 4 else _long_way)(lock, cell)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cell[0] == 16_000.0
    other = Lock(path)
    assert other.acquire(), "nothing is left locked"


def _long_way(lock: Lock, cell: memoryview) -> None:
    while not lock.acquire():
        pass
    before = cell[0]
    os.getpid()
    cell[0] = before + 1.0
    lock.release()


def _short_way(lock: Lock, cell: memoryview) -> None:
    for failed in lock.tries:
        if failed:
            continue
        if lock.shut:
            _long_way(lock, cell)
            return
        before = cell[0]
        cell[0] = before + 1.0
        lock.unlock()
        return
