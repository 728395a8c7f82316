"""The arena as a whole: lazily opened, said when degraded, full disks."""

from __future__ import annotations

import gc
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from falconkit.arena import Arena
from falconkit.events import ArenaDegraded, Event, Events
from falconkit.testing import ManualClock


def test_nothing_is_opened_until_it_is_used(folder: Path) -> None:
    gc.collect()
    fds = len(os.listdir("/proc/self/fd"))
    arena = Arena(folder)
    series = arena.slots("metrics").series("calls", 1)
    arena.slots("metrics").on_open(lambda: None)
    buckets, table = arena.buckets(), arena.table("hits", 1)
    assert not folder.exists()
    assert len(os.listdir("/proc/self/fd")) == fds
    assert arena.status() == {
        "opened": False,
        "private": False,
        "directory": "",
        "slots": 0,
        "contended_count": 0,
        "full_count": 0,
        "damaged_count": 0,
        "private_count": 0,
    }
    series.add(0, 1.0)
    buckets.take("ann", 1.0, 1)
    table.read("ann")
    status = arena.status()
    assert (status["opened"], status["private"], status["slots"]) == (True, False, 1)
    assert status["directory"] == str(folder)
    assert {f.stat().st_mode & 0o777 for f in folder.glob("arena-*/*")} == {0o600}


def test_closing_gives_everything_back_and_use_opens_anew(folder: Path, clock: ManualClock) -> None:
    gc.collect()
    fds = len(os.listdir("/proc/self/fd"))
    arena = Arena(folder, clock=clock)
    series = arena.slots("metrics").series("calls", 1)
    buckets, table = arena.buckets(), arena.table("hits", 1)

    def use() -> bool:
        series.add(0, 1.0)
        table.apply("ann", 60.0, lambda cell, _: cell.__setitem__(0, 7.0))
        return buckets.take("ann", 3600.0, 2)[0]

    assert [use(), use()] == [True, True]
    arena.close()
    arena.close()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == fds
    assert arena.status()["opened"] is False
    assert not use()
    assert arena.slots("metrics").read() == {"calls": [3.0]}
    assert arena.slots("metrics").number == 0
    assert table.read("ann") == ([7.0], 60.0)
    arena.close()


def test_a_private_arena_says_so_once_and_works(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Event] = []
    arena = Arena(events=Events(heard.append), among=[folder.parent])
    buckets = arena.buckets()
    assert [buckets.take("ann", 3600.0, 2)[0] for _ in range(3)] == [True, True, False]
    arena.slots("metrics").series("calls", 1).add(0, 1.0)
    assert arena.slots("metrics").read() == {"calls": [1.0]}
    assert [(each.key, each.deltas) for each in arena.slots("metrics").unsent()] == [
        ("calls", {0: 1.0})
    ]
    table = arena.table("hits", 1)
    table.apply("ann", 60.0, lambda cell, _: cell.__setitem__(0, 7.0))
    assert table.reset()
    assert table.read("ann") is None
    (event,) = heard
    assert isinstance(event, ArenaDegraded)
    assert event.what == "private"
    assert "FALCONKIT_RUN" in event.detail
    (record,) = caplog.records
    assert "the arena is private (1 times in this process): the parent process" in record.message
    assert arena.status()["private"] is True
    assert list(folder.parent.iterdir()) == []


def test_a_private_arena_is_private_to_each_child(folder: Path, child: Callable) -> None:
    # A place that nobody can write to: /dev/shm is missing or read-only.
    arena = Arena(among=[folder / "missing"])
    arena.slots("metrics").series("calls", 1).add(0, 1.0)
    buckets = arena.buckets()
    assert buckets.take("ann", 3600.0, 1)[0]

    def work(say: Callable) -> None:
        say([buckets.take("ann", 3600.0, 1)[0], arena.slots("metrics").read()])
        say(arena.status()["private_count"])

    for _ in range(2):
        worker = child(work)
        assert worker.hear() == [True, {}]
        assert worker.hear() == 1
    assert not buckets.take("ann", 3600.0, 1)[0]


def test_a_folder_that_went_bad_makes_it_private(folder: Path) -> None:
    heard: list[Event] = []
    arena = Arena(folder, events=Events(heard.append))
    folder.touch()
    assert arena.buckets().take("ann", 3600.0, 1)[0]
    (event,) = heard
    assert isinstance(event, ArenaDegraded)
    assert "FALCONKIT_RUN names another place" in event.detail


def test_a_folder_that_is_removed_meanwhile_goes_on(folder: Path) -> None:
    arena = Arena(folder)
    buckets = arena.buckets()
    calls = arena.slots("metrics").series("calls", 1)
    assert buckets.take("ann", 3600.0, 1)[0]
    calls.add(0, 1.0)
    for file in sorted(folder.glob("**/*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    folder.rmdir()
    assert not buckets.take("ann", 3600.0, 1)[0]
    assert buckets.take("bob", 3600.0, 1)[0]
    calls.add(0, 1.0)
    assert arena.table("hits", 1).apply("ann", 60.0, lambda cell, fresh: fresh)
    assert arena.status()["private_count"] == 1


def test_every_event_is_told_and_some_are_logged(
    arena: Arena, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Event] = []
    arena.events.listen(heard.append)
    for number in range(250):
        arena._troubles.add("contended", f"number {number + 1}")
    arena._troubles.add("full", "once")
    assert len(heard) == 251
    assert [record.message.rpartition(": ")[2] for record in caplog.records] == [
        "number 1",
        "number 10",
        "number 100",
        "once",
    ]
    assert arena.status()["contended_count"] == 250


def test_who_is_told_may_use_the_arena(folder: Path) -> None:
    arena = Arena(folder, max_slots=0)
    calls = arena.slots("metrics").series("calls", 1)
    told = arena.slots("metrics").series("told", 1)
    arena.events.listen(lambda _: told.add(0, 1.0))
    calls.add(0, 1.0)
    assert arena.slots("metrics").read() == {"calls": [1.0], "told": [1.0]}


@pytest.fixture
def tiny(folder: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    place = folder.parent / "tiny"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("only root can mount a small file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_full_file_system_kills_nobody(tiny: Path, child: Callable) -> None:
    def work(say: Callable) -> None:
        arena = Arena(tiny / "run")
        slots, buckets, table = arena.slots("metrics"), arena.buckets(), arena.table("hits", 4)
        admitted = sum(buckets.take(f"key-{n}", 3600.0, 1)[0] for n in range(3000))
        once = buckets.take("key-0", 3600.0, 1)[0]
        for number in range(2000):
            slots.series(f"series-{number}", 8).add(0, 1.0)
            table.apply(f"key-{number}", 60.0, lambda cell, _: cell.__setitem__(0, 1.0))
        total = sum(values[0] for values in slots.read().values())
        say([admitted > 800, once, total, arena.status()])

    for _ in range(2):
        worker = child(work)
        admitted, once, total, status = worker.hear()
        assert worker.wait() == 0, "SIGBUS would be -7"
        assert total >= 2000.0
        assert once is False
        assert status["full_count"] + status["private_count"] > 0
        if not status["private_count"]:
            assert admitted


def test_a_full_file_system_makes_everything_private(tiny: Path, child: Callable) -> None:
    (tiny / "full").write_bytes(bytes(64 * 1024 - 4096))

    def work(say: Callable) -> None:
        arena = Arena(tiny / "run")
        calls = arena.slots("metrics").series("calls", 1)
        calls.add(0, 1.0)
        buckets = arena.buckets()
        say([buckets.take("ann", 3600.0, 1)[0], buckets.take("ann", 3600.0, 1)[0]])
        say(arena.slots("metrics").read())

    worker = child(work)
    assert worker.hear() == [True, False]
    assert worker.hear() == {"calls": [1.0]}
    assert worker.wait() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_folder_that_cannot_be_written_is_said_at_once(folder: Path, child: Callable) -> None:
    folder.mkdir(mode=0o700)

    def work(say: Callable) -> None:
        os.setuid(65534)
        try:
            Arena(folder)
        except ValueError as error:
            say(str(error))

    folder.parent.chmod(0o755)
    said = child(work).hear()
    assert "directory=" in said
    assert "belongs to user 0, not to 65534" in said


def test_a_fork_while_other_threads_use_it(folder: Path, child: Callable) -> None:
    import threading

    arena = Arena(folder)
    buckets, calls = arena.buckets(), arena.slots("metrics").series("calls", 1)
    stop = threading.Event()

    def busy(number: int) -> None:
        turn = 0
        while not stop.is_set():
            turn += 1
            buckets.take(f"{number}-{turn % 50}", 0.001, 5)
            buckets.clear(f"{number}-{turn % 50}", 0.001, 5)
            calls.add(0, 1.0)

    threads = [threading.Thread(target=busy, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):

            def work(say: Callable) -> None:
                took = [buckets.take(f"key-{os.getpid()}", 3600.0, 3)[0] for _ in range(4)]
                calls.add(0, 1.0)
                say(took)

            worker = child(work)
            assert worker.hear() == [True, True, True, False]
            assert worker.wait() == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()
