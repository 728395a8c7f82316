"""Counters, gauges and histograms over the slots of several workers."""

from __future__ import annotations

import errno
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from falconkit.arena import Arena, Slots
from falconkit.arena import slotfile as files
from falconkit.arena.slotfile import file_of
from falconkit.errors import ConfigurationError


@pytest.fixture
def slots(arena: Arena) -> Slots:
    return arena.slots("metrics")


def slot_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("arena-*/metrics-*"))


def test_add_set_and_bump(slots: Slots) -> None:
    counter = slots.series("calls", 2)
    counter.add(0, 1.0)
    counter.add(1, 2.5)
    counter.add(0, 1)
    seconds = slots.series("seconds", 4)
    seconds.bump(2, 1.0, 3, 0.25)
    seconds.bump(2, 1.0, 3, 0.5)
    flight = slots.series("in flight", 1, gauge=True)
    flight.add(0, 3.0)
    flight.add(0, -1.0)
    slots.series("temperature", 1, gauge=True).set(0, -3.5)
    assert slots.read() == {
        "calls": [2.0, 2.5],
        "seconds": [0.0, 0.0, 2.0, 0.75],
        "in flight": [2.0],
        "temperature": [-3.5],
    }


@pytest.mark.parametrize("act", ["add", "set"])
def test_an_index_that_is_not_there_is_an_error(slots: Slots, act: str) -> None:
    series = slots.series("calls", 2)
    for _ in range(2):
        with pytest.raises(IndexError):
            getattr(series, act)(2, 1.0)
    with pytest.raises(IndexError):
        series.bump(0, 1.0, 2, 1.0)


def test_a_series_has_one_shape(slots: Slots) -> None:
    assert slots.series("calls", 2) is slots.series("calls", 2)
    for width, gauge in ((3, False), (2, True)):
        with pytest.raises(ConfigurationError, match="'calls'"):
            slots.series("calls", width, gauge=gauge)
    with pytest.raises(ConfigurationError):
        slots.series("none", 0)


@pytest.mark.parametrize("key", ["", "é\n\0", "\ud800", "k" * 5000])
def test_any_key_is_kept(slots: Slots, folder: Path, key: str) -> None:
    slots.series(key, 1).add(0, 1.0)
    slots.series(key + "x", 1).add(0, 2.0)
    assert Arena(folder).slots("metrics").read() == {key: [1.0], key + "x": [2.0]}


def test_a_slot_grows_by_files(slots: Slots, folder: Path) -> None:
    for number in range(300):
        slots.series(f"series-{number}", 20).add(number % 20, float(number))
    expected = {
        f"series-{n}": [float(n) if at == n % 20 else 0.0 for at in range(20)] for n in range(300)
    }
    other = Arena(folder).slots("metrics")
    assert other.read() == expected
    assert [f.stat().st_size for f in slot_files(folder)] == [
        4096 << number for number in range(len(slot_files(folder)))
    ]
    slots.series("another", 1).add(0, 1.0)
    slots.series("series-0", 20).add(1, 5.0)
    read = other.read()
    assert read["another"] == [1.0]
    assert read["series-0"][1] == 5.0


def test_names_have_slots_of_their_own(arena: Arena) -> None:
    arena.slots("one").series("x", 1).add(0, 1.0)
    arena.slots("two").series("x", 1).add(0, 2.0)
    assert arena.slots("one").read() == {"x": [1.0]}
    assert arena.slots("one") is arena.slots("one")


def test_reading_takes_no_slot(folder: Path) -> None:
    arena = Arena(folder)
    assert arena.slots("metrics").read() == {}
    assert list(arena.slots("metrics").unsent()) == []
    assert slot_files(folder) == []
    assert arena.status()["slots"] == 0


def test_100_threads_lose_no_count(slots: Slots, switch_often: None) -> None:
    series = slots.series("calls", 2)
    ready = threading.Barrier(100)

    def work() -> None:
        ready.wait()  # so that many are the first to use it
        for _ in range(200):
            series.add(0, 1.0)
            series.bump(0, 1.0, 1, 0.5)

    threads = [threading.Thread(target=work) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert slots.read() == {"calls": [40_000.0, 10_000.0]}


def test_what_is_sent_is_marked(slots: Slots) -> None:
    calls = slots.series("calls", 2)
    calls.add(0, 2.0)
    slots.series("still", 1).add(0, 0.0)
    slots.series("gauge", 1, gauge=True).set(0, 5.0)
    (unsent,) = slots.unsent()
    assert (unsent.key, unsent.deltas) == ("calls", {0: 2.0})
    # What is counted between reading and marking is not lost.
    calls.add(0, 1.0)
    calls.add(1, 7.0)
    unsent.mark()
    (unsent,) = slots.unsent()
    assert unsent.deltas == {0: 1.0, 1: 7.0}
    (again,) = slots.unsent()
    assert again.deltas == {0: 1.0, 1: 7.0}, "a send that failed is not marked"
    again.mark()
    assert list(slots.unsent()) == []
    assert slots.read()["calls"] == [3.0, 7.0]


def test_every_worker_adds_up_to_the_same_digit(folder: Path) -> None:
    arenas = [Arena(folder) for _ in range(3)]
    for each, amount in zip(arenas, (0.2, 0.3, 0.1), strict=True):
        each.slots("metrics").series("seconds", 1).add(0, amount)
    assert 0.2 + 0.3 + 0.1 != 0.1 + 0.2 + 0.3
    reads = [each.slots("metrics").read()["seconds"][0] for each in (*arenas, Arena(folder))]
    assert reads == [0.2 + 0.3 + 0.1] * 4


def test_gauges_alone_are_found_among_what_is_new(folder: Path) -> None:
    arena = Arena(folder)
    slots, other = arena.slots("metrics"), Arena(folder).slots("metrics")
    assert other.read(gauges_only=True) == {}
    for number in range(120):
        slots.series(f"calls-{number}", 20).add(0, 1.0)
        if number % 40 == 0:
            slots.series(f"depth-{number}", 1, gauge=True).set(0, number + 1.0)
            assert other.read(gauges_only=True)[f"depth-{number}"] == [number + 1.0]
    slots.series("depth-0", 1, gauge=True).set(0, -2.0)
    found = {"depth-0": [-2.0], "depth-40": [41.0], "depth-80": [81.0]}
    assert other.read(gauges_only=True) == found == slots.read(gauges_only=True)
    arena.close()
    assert other.read(gauges_only=True) == {}


def test_on_open_is_called_once_in_each_process(
    folder: Path, child: Callable, caplog: pytest.LogCaptureFixture
) -> None:
    slots = Arena(folder).slots("metrics")
    series = slots.series("calls", 1)
    opened: list[int] = []

    def note() -> None:
        # It may count and read: no lock is held.
        slots.series("opened", 1).add(0, 1.0)
        opened.append(os.getpid())

    slots.on_open(lambda: 1 / 0)
    slots.on_open(note)
    assert opened == []
    series.add(0, 1.0)
    series.add(0, 1.0)
    assert opened == [os.getpid()]
    assert "failed when a slot was opened" in caplog.text
    slots.on_open(note)
    assert opened == [os.getpid()] * 2

    def work(say: Callable) -> None:
        opened.clear()
        series.add(0, 1.0)
        say([opened, os.getpid()])

    heard, pid = child(work).hear()
    assert heard == [pid, pid]


def test_totals_outlive_their_workers_and_gauges_do_not(folder: Path, child: Callable) -> None:
    slots = Arena(folder).slots("metrics")
    calls = slots.series("calls", 1)
    flight = slots.series("flight", 1, gauge=True)

    def work(say: Callable) -> None:
        calls.add(0, 1.0)
        flight.add(0, 1.0)
        say("counted")
        signal.pause()

    calls.add(0, 0.0)
    workers = [child(work) for _ in range(3)]
    for each in workers:
        assert each.hear() == "counted"
    assert slots.read() == {"calls": [3.0], "flight": [3.0]}
    workers[0].kill()
    workers[1].kill()
    assert slots.read() == {"calls": [3.0], "flight": [1.0]}
    # Its successor takes over the slot, with gauges at 0.
    before = slot_files(folder)
    successor = child(work)
    assert successor.hear() == "counted"
    assert slots.read() == {"calls": [4.0], "flight": [2.0]}
    assert slot_files(folder) == before


def test_a_killed_workers_own_child_keeps_no_slot(
    folder: Path, child: Callable, gone: Callable
) -> None:
    slots = Arena(folder).slots("metrics")
    flight = slots.series("flight", 1, gauge=True)

    def worker(say: Callable) -> None:
        flight.add(0, 1.0)
        grandchild = os.fork()
        if grandchild == 0:
            say(os.getpid())
            signal.pause()
            os._exit(0)
        signal.pause()

    process = child(worker)
    grandchild = process.hear()
    assert slots.read() == {"flight": [1.0]}
    process.kill()
    try:
        assert slots.read() == {}
        assert child(lambda say: (flight.add(0, 1.0), say(slots.number))).hear() == 0
    finally:
        os.kill(grandchild, signal.SIGKILL)
    gone(grandchild)


def test_the_next_one_sends_what_a_killed_worker_did_not(folder: Path, child: Callable) -> None:
    slots = Arena(folder).slots("metrics")
    calls = slots.series("calls", 2)

    def work(say: Callable) -> None:
        calls.add(0, 5.0)
        for unsent in slots.unsent():
            unsent.mark()
        calls.add(0, 2.0)
        for number in range(200):
            slots.series(f"more-{number}", 8).add(1, 1.0)
        slots.series("flight", 1, gauge=True).add(0, 1.0)
        say("counted")
        signal.pause()

    worker = child(work)
    assert worker.hear() == "counted"
    assert list(slots.unsent()) == [], "it lives, and sends for itself"
    worker.kill()
    unsent = list(slots.unsent())
    assert {each.key: each.deltas for each in unsent} == {
        "calls": {0: 2.0},
        **{f"more-{number}": {1: 1.0} for number in range(200)},
    }
    # Nobody else sends the same meanwhile, and a new worker has another slot.
    other = Arena(folder).slots("metrics")
    assert list(other.unsent()) == []
    beside = child(lambda say: (calls.add(0, 1.0), say(slots.number)))
    assert beside.hear() == 1
    assert beside.wait() == 0
    for each in unsent[:100]:
        each.mark()
    del unsent, each
    assert len(list(other.unsent())) == 102, "100 were not marked, and child 1's call"


@pytest.mark.parametrize("marks", [0, 1])
def test_the_heir_of_the_slot_sends_the_rest(folder: Path, child: Callable, marks: int) -> None:
    slots = Arena(folder).slots("metrics")

    def work(say: Callable) -> None:
        slots.series("calls", 1).add(0, 3.0)
        for unsent in list(slots.unsent()) * marks:
            unsent.mark()
        slots.series("calls", 1).add(0, 1.0)
        say("counted")
        signal.pause()

    worker = child(work)
    worker.hear()
    worker.kill()
    slots.series("calls", 1).add(0, 10.0)
    assert slots.number == 0
    (unsent,) = slots.unsent()
    assert unsent.deltas == {0: 11.0 if marks else 14.0}


def test_totals_never_go_back_while_workers_are_killed(folder: Path, child: Callable) -> None:
    slots = Arena(folder).slots("metrics")
    calls = slots.series("calls", 1)
    last = 0.0
    acknowledged = 0

    def work(say: Callable) -> None:
        for turn in range(1000):
            calls.add(0, 1.0)
            if turn == 100:
                say("on")

    for _ in range(10):
        worker = child(work)
        assert worker.hear() == "on"
        acknowledged += 101
        now = slots.read()["calls"][0]
        assert now >= max(last, acknowledged)
        worker.kill()
        last = slots.read()["calls"][0]
        assert last >= now
    assert len(slot_files(folder)) == 1


def test_beyond_the_last_slot_counts_are_private_and_said(folder: Path, child: Callable) -> None:
    arena = Arena(folder, max_slots=2)
    slots = arena.slots("metrics")
    calls = slots.series("calls", 1)

    def work(say: Callable) -> None:
        calls.add(0, 1.0)
        say([slots.number, arena.status()["private_count"], slots.read()["calls"]])
        signal.pause()

    workers = [child(work) for _ in range(3)]
    heard = sorted(each.hear() for each in workers)
    assert [each[:2] for each in heard] == [[-1, 1], [0, 0], [1, 0]]
    assert slots.read() == {"calls": [2.0]}
    assert len(slot_files(folder)) == 2


def test_no_room_for_a_slot_makes_it_private(
    arena: Arena, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(fd: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("falconkit.arena.slotwriter.reserve", no_room)
    slots = arena.slots("metrics")
    slots.series("calls", 1).add(0, 1.0)
    slots.series("calls", 1).add(0, 1.0)
    assert slots.read() == {"calls": [2.0]}
    assert [(each.key, each.deltas) for each in slots.unsent()] == [("calls", {0: 2.0})]
    assert arena.status()["private_count"] == 1
    monkeypatch.undo()
    # The empty file that is left is nobody's.
    other = Arena(folder).slots("metrics")
    assert other.read() == {}
    other.series("calls", 1).add(0, 5.0)
    assert other.number == 0
    assert other.read() == {"calls": [5.0]}


def test_no_room_for_more_series_keeps_those_in_memory(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = arena.slots("metrics")
    slots.series("shared", 1).add(0, 1.0)

    def no_room(fd: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("falconkit.arena.slotwriter.reserve", no_room)
    for turn in range(2):
        for number in range(3):
            slots.series(f"wide-{number}", 200).add(7, 1.0)
        assert {key: sum(values) for key, values in slots.read().items()} == {
            "shared": 1.0,
            **{f"wide-{number}": 1.0 + turn for number in range(3)},
        }
    assert arena.status()["full_count"] == 2
    assert len(list(slots.unsent())) == 4


def test_another_width_of_a_key_is_another_series(folder: Path, child: Callable) -> None:
    # A worker of the next release, with other buckets, beside one of this.
    old, new = Arena(folder).slots("metrics"), Arena(folder).slots("metrics")
    old.series("seconds", 3).add(0, 1.0)
    new.series("seconds", 5).add(0, 2.0)
    assert old.read() == {"seconds": [1.0, 0.0, 0.0]}
    assert new.read() == {"seconds": [2.0, 0.0, 0.0, 0.0, 0.0]}


def test_a_record_that_is_not_whole_is_not_read(arena: Arena, folder: Path) -> None:
    slots = arena.slots("metrics")
    slots.series("calls", 1).add(0, 1.0)
    (path,) = slot_files(folder)
    size = files.RECORD.size
    at = next(end for _, end in files.records(path.read_bytes(), 16))
    for broken in (
        files.RECORD.pack(size + 8 + 16, 0, 1, 5, 0) + b"wrong",
        files.RECORD.pack(1 << 40, 0, 1, 5, 0),
        files.RECORD.pack(8, 0, 0, 0, 0),
    ):
        with path.open("r+b") as file:
            file.seek(at)
            file.write(broken)
        assert Arena(folder).slots("metrics").read() == {"calls": [1.0]}
    arena.close()
    # The next owner writes over it.
    heir = Arena(folder).slots("metrics")
    heir.series("other", 1).add(0, 2.0)
    assert heir.number == 0
    assert Arena(folder).slots("metrics").read() == {"calls": [1.0], "other": [2.0]}


def test_a_file_left_half_made_is_made_again(arena: Arena, folder: Path) -> None:
    slots = arena.slots("metrics")
    for number in range(20):
        slots.series(f"series-{number}", 20).add(0, 1.0)
    first = slot_files(folder)[0]
    arena.close()
    # As if killed between making the next file and filling it.
    number = len(slot_files(folder))
    file_of(first, number).write_bytes(b"")
    heir = Arena(folder).slots("metrics")
    for number in range(100):
        heir.series(f"series-{number}", 20).add(0, 1.0)
    assert heir.number == 0
    assert len(Arena(folder).slots("metrics").read()) == 100
