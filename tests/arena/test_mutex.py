"""Robust mutexes: exclusion, death of an owner, and the proof that they work here."""

from __future__ import annotations

import errno
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from falconkit.arena import Arena, mutex
from falconkit.arena.lock import WAIT
from falconkit.arena.mutex import Mutex, mutex_kind, mutexes
from falconkit.testing import ManualClock

works_here = pytest.mark.skipif(not mutex_kind(), reason="robust mutexes do not work here")


@pytest.fixture
def lock(tmp_path: Path) -> Mutex:
    first, _ = mutexes(tmp_path / "mutexes", 2)
    return first


@works_here
class TestMutex:
    def test_it_excludes_and_the_wait_is_bounded(self, lock: Mutex, tmp_path: Path) -> None:
        same, other = mutexes(tmp_path / "mutexes", 2)
        same._clock = other._clock = clock = ManualClock()
        assert lock.acquire()
        assert not same.acquire()
        assert sum(clock.slept) == pytest.approx(WAIT, abs=2e-4)
        assert other.acquire(), "the second of the file is another one"
        lock.release()
        assert same.acquire()

    def test_threads_are_told_apart(self, lock: Mutex) -> None:
        assert lock.acquire()
        had = []
        thread = threading.Thread(target=lambda: had.append(lock.acquire()))
        thread.start()
        thread.join()
        assert had == [False]

    def test_the_short_way_is_never_shut(self, lock: Mutex) -> None:
        assert lock.acquire()
        assert not lock.shut
        assert next(lock.tries) == errno.EBUSY
        lock.mend(errno.EBUSY)
        assert next(lock.tries) == errno.EBUSY
        lock.release()
        assert next(lock.tries) == 0

    def test_a_dead_owner_is_mended_on_both_ways(
        self, tmp_path: Path, child: Callable[..., Any]
    ) -> None:
        path = tmp_path / "mutexes"
        ours = mutexes(path, 2)

        def hold(say: Callable[[Any], None]) -> None:
            for each in mutexes(path, 2):
                assert each.acquire()
            say("held")
            signal.pause()

        for _ in range(3):
            holder = child(hold)
            assert holder.hear() == "held"
            holder.stop()
            assert next(ours[0].tries) == errno.EBUSY
            holder.kill()
            assert ours[0].acquire()
            ours[0].release()
            answer = next(ours[1].tries)
            assert answer == errno.EOWNERDEAD
            ours[1].mend(answer)
            assert next(ours[1].tries) == 0
            ours[1].unlock()

    def test_a_killed_owners_bucket_is_decided_on_the_short_way(
        self, folder: Path, child: Callable[..., Any]
    ) -> None:
        arena = Arena(folder)
        buckets = arena.buckets()
        assert buckets.take("ann", 3600.0, 3)[0]

        def hold(say: Callable[[Any], None]) -> None:
            assert all(each.acquire() for each in buckets._opened().cells.locks)
            say("held")
            signal.pause()

        holder = child(hold)
        assert holder.hear() == "held"
        holder.kill()
        assert [buckets.take("ann", 3600.0, 3)[0] for _ in range(3)] == [True, True, False]
        assert arena.status()["contended_count"] == 0


class Broken:
    """The C library, with one of its calls replaced."""

    def __init__(self, name: str, call: Callable[..., int]) -> None:
        import ctypes

        self._library = ctypes.PyDLL(None)
        setattr(self, name, call)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._library, name)


@works_here
@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("pthread_mutex_trylock", 0),
        ("pthread_mutex_trylock", errno.EBUSY),
        ("pthread_mutex_trylock", errno.ENOSYS),
        ("pthread_mutexattr_setrobust", errno.ENOTSUP),
        ("pthread_mutexattr_setpshared", errno.ENOTSUP),
        ("pthread_mutex_unlock", errno.EPERM),
    ],
)
def test_what_does_not_prove_itself_is_not_used(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, answer: int
) -> None:
    import ctypes

    broken = Broken(name, lambda *_: answer)
    monkeypatch.setattr(ctypes, "PyDLL", lambda _: broken)
    monkeypatch.setattr(mutex.system_clock, "sleep", lambda _: None)
    mutex._library.cache_clear()
    try:
        assert mutex_kind() == ""
        assert mutexes(tmp_path / "mutexes", 3) == []
        assert not (tmp_path / "mutexes").exists()
    finally:
        monkeypatch.undo()
        mutex._library.cache_clear()
    assert mutex_kind() != ""


@pytest.mark.parametrize("missing", ["platform", "confstr"])
def test_another_platform_uses_flock(
    monkeypatch: pytest.MonkeyPatch, folder: Path, missing: str
) -> None:
    with monkeypatch.context() as patch:
        if missing == "platform":
            patch.setattr("sys.platform", "darwin")
        else:
            patch.setattr("os.confstr", lambda _: None)
        mutex._library.cache_clear()
        arena = Arena(folder)
        assert arena.buckets().take("ann", 3600.0, 1)[0]
        assert len(list(folder.glob("arena-*/*.lock*"))) == 17
        assert list(folder.glob("arena-*/*.mutexes")) == []
    mutex._library.cache_clear()


@works_here
def test_processes_that_lock_in_different_ways_do_not_meet(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = Arena(folder)
    assert one.buckets().take("ann", 3600.0, 1)[0]
    monkeypatch.setattr(mutex, "_library", lambda: None)
    other = Arena(folder)
    assert other.buckets().take("ann", 3600.0, 1)[0]
    assert len(list(folder.glob("arena-*"))) == 2
