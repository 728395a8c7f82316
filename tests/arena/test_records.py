"""Records: read without a lock, changed under one, counted in beside it."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from falconkit.arena import Arena, Record
from falconkit.arena.record import COUNTERS, KEPT
from falconkit.testing import ManualClock

pytestmark = pytest.mark.usefixtures("kind_of_lock")


def add(values: list[float], counted: float) -> list[float]:
    values[0] += 1.0
    values[1] = counted
    return list(values)


def record_in(arena: Arena, key: str = "ann") -> Record:
    return arena.records("test", 2).of(key)


def test_a_change_sees_what_was_counted(arena: Arena) -> None:
    record = record_in(arena)
    cells = record.opened()
    assert record.mine
    cells[record.mine] += 3.0
    assert record.change(add) == [1.0, 3.0]
    assert record_in(arena).change(add) == [2.0, 3.0]
    assert record_in(arena, "bob").change(add) == [1.0, 0.0]
    assert [*cells[:2]] == [2.0, 3.0]


def test_the_same_name_is_the_same_object_and_widths_are_apart(arena: Arena) -> None:
    assert arena.records("test", 2) is arena.records("test", 2)
    assert arena.records("test", 2) is not arena.records("test", 3)
    record_in(arena).change(add)
    wide = arena.records("test", 3).of("ann")
    assert wide.change(add) == [1.0, 0.0, 0.0]


def test_what_a_step_raises_comes_through_and_nothing_is_changed(arena: Arena) -> None:
    record = record_in(arena)
    record.change(add)

    def fail(values: list[float], counted: float) -> None:
        values[0] = 99.0
        raise KeyError("no")

    for change in (record.change, record.hand_out):
        with pytest.raises(KeyError):
            change(fail)
    assert record.change(add)[0] == 2.0


@pytest.mark.usefixtures("switch_often")
def test_threads_lose_nothing(arena: Arena) -> None:
    record = record_in(arena)

    def work() -> None:
        for _ in range(200):
            cells = record.cells or record.opened()
            cells[record.mine] += 1.0
            record.change(add)

    threads = [threading.Thread(target=work) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert record.change(add) == [3201.0, 3200.0]
    assert arena.status()["contended_count"] == 0


def test_a_record_that_nobody_changes_for_a_day_may_go_to_another(
    folder: Path, clock: ManualClock
) -> None:
    arena = Arena(folder, clock=clock)
    record = record_in(arena)
    record.change(add)
    clock.advance(KEPT - 1.0)
    assert record.change(add)[0] == 2.0
    cells = arena.records("test", 2).opened()
    found = cells.find(record._digest)
    assert found is not None
    segment, cell = found
    assert segment.free(record._digest, cells.now()) != cell
    clock.advance(KEPT + 1.0)
    assert segment.floats[segment.at(cell)] < cells.now(), "it is free"
    segment.give(cell, b"stranger's digest"[:16])
    segment.floats[segment.at(cell)] = cells.now() + KEPT
    before = record.opened()
    assert record.change(add) == [1.0, 0.0], "it began anew, elsewhere"
    assert [*before[:2]] == [0.0, 0.0], "and left the stranger's alone"
    arena.close()


def test_after_close_it_is_opened_anew(arena: Arena) -> None:
    record = record_in(arena)
    record.change(add)
    arena.close()
    assert record.cells is None
    assert record.change(add)[0] == 2.0


def test_a_worker_too_many_has_no_counter(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    records = arena.records("test", 2)
    record_in(arena).change(add)
    assert 2 <= records.counter() < 2 + COUNTERS
    monkeypatch.setattr(records._seats, "number", COUNTERS)
    assert records.counter() == 0
    monkeypatch.setattr(records._seats, "number", -1)
    assert records.counter() == 0


def test_no_room_at_all(folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    arena = Arena(folder, clock=clock)
    monkeypatch.setattr("falconkit.arena.segment.reserve", full)
    record = record_in(arena)
    cells = record.opened()
    cells[record.mine] += 1.0
    assert record.change(add) == [1.0, 1.0]
    assert arena.status()["private_count"] >= 1


def test_no_room_for_one_more(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    record = record_in(arena)
    cells = arena.records("test", 2).opened()
    with monkeypatch.context() as patched:
        patched.setattr(cells, "claim", lambda digest, now: None)
        patched.setattr(cells, "grow", lambda: False)
        record.opened()[record.mine] += 1.0
        assert record.change(add) == [1.0, 1.0]
        with pytest.raises(TimeoutError):
            record.hand_out(add)
        assert arena.status()["full_count"] == 1
    arena.close()  # which does it to the shared record
    assert record_in(arena).change(add) == [2.0, 1.0]


def test_without_the_lock_it_is_a_copy_that_is_paid(
    folder: Path, child: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Arena(folder)
    record_in(first).change(add)

    def hold(say: Callable) -> None:
        lock = record_in(Arena(folder))._records.opened().locks
        for each in lock:
            assert each.acquire()
        say("held")
        threading.Event().wait()

    holder = child(hold)
    assert holder.hear() == "held"
    holder.stop()
    arena = Arena(folder)
    record = record_in(arena)
    assert record.change(add) == [2.0, 0.0]
    assert record.mine
    record.opened()[record.mine] += 5.0
    assert record.change(add) == [3.0, 5.0]
    with pytest.raises(TimeoutError):
        record.hand_out(add)
    # Another sees nothing of it; after a second it gives away by itself.
    assert [*record_in(first).opened()[:1]] == [1.0]
    monkeypatch.setattr("falconkit.arena.record.PATIENCE", 0.0)
    assert record.hand_out(add) == [4.0, 5.0]
    holder.kill()
    arena.close()
    # Two changes and five counts were paid; what was handed out is not done twice.
    assert record_in(Arena(folder)).change(add) == [4.0, 5.0]
