"""Totals are shown by one worker at a time, and the last to end shows all."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from falconkit.arena import Arena
from falconkit.metrics import Distribution, Metrics, Sample
from falconkit.metrics.turns import Shown, Turns
from falconkit.testing import ManualClock, wait_until

fork = multiprocessing.get_context("fork")


class Board:
    """A backend of totals that writes what it is shown to a file."""

    name = "board"

    def __init__(self, file: Path, interval: float = 3600.0) -> None:
        self.file, self.interval = file, interval
        self.fails = False
        self.closed = 0

    def show(self, samples: Sequence[Sample], lately: Sequence[Sample], /) -> None:
        if self.fails:
            raise OSError("away")
        told = [{each.name: plain(each) for each in some} for some in (samples, lately)]
        with self.file.open("a") as out:
            out.write(json.dumps([os.getpid(), *told]) + "\n")

    def close(self) -> None:
        self.closed += 1

    def shown(self) -> list[list[dict[str, float]]]:
        text = self.file.read_text() if self.file.exists() else ""
        return [json.loads(line)[1:] for line in text.splitlines()]


def plain(sample: Sample) -> float:
    value = sample.value
    return value.count if isinstance(value, Distribution) else value


@pytest.fixture
def board(tmp_path: Path) -> Board:
    return Board(tmp_path / "board")


def test_totals_and_what_was_lately(arena: Arena, board: Board) -> None:
    metrics = Metrics(arena=arena)
    metrics.add_backend(board)
    for _ in range(2):
        metrics.counter("calls").add(3)
        metrics.histogram("t").observe(1)
        metrics.gauge("depth").add(2)
        metrics.flush()
    metrics.close()
    assert board.shown() == [
        [{"calls": 3, "t": 1, "depth": 2}] * 2,
        [{"calls": 6, "t": 2, "depth": 4}, {"calls": 3, "t": 1, "depth": 4}],
        [{"calls": 6, "t": 2, "depth": 4}, {"calls": 0, "t": 0, "depth": 4}],
    ]
    assert board.closed == 1


def test_what_could_not_be_shown_is_added_to_lately(
    arena: Arena, board: Board, caplog: pytest.LogCaptureFixture
) -> None:
    metrics = Metrics(arena=arena)
    metrics.add_backend(board)
    for board.fails in (True, True, False):
        metrics.counter("calls").add()
        metrics.flush()
    assert board.shown() == [[{"calls": 3}, {"calls": 3}]]
    assert [each.message for each in caplog.records] == [
        "metrics are not sent to board, trying again: away"
    ]
    metrics.close()


def test_what_was_before_this_worker_is_no_news(arena: Arena, board: Board) -> None:
    Metrics(arena=arena).counter("calls").add(100)
    metrics = Metrics(arena=arena)
    metrics.add_backend(board)
    metrics.counter("calls").add()
    metrics.flush()
    assert board.shown()[0][0] == {"calls": 101}
    # It was counted in this process already, which began when the backend was added.
    assert board.shown()[0][1] == {"calls": 1}
    metrics.close()


def test_one_worker_shows_an_interval_and_the_last_to_end_shows_all(
    arena: Arena, board: Board
) -> None:
    metrics = Metrics(arena=arena)
    metrics.add_backend(board)
    calls = metrics.counter("calls")

    def work(n: int) -> None:
        for _ in range(1000):
            calls.add()
        if n % 2:
            metrics._delivery.flush(when_due=True)
        metrics.close()

    children = [fork.Process(target=work, args=(n,)) for n in range(4)]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    shown = [totals["calls"] for totals, _ in board.shown()]
    assert shown == sorted(shown)
    assert shown[-1] == 4000
    assert 4 <= len(shown) <= 6


def test_the_thread_shows_when_it_is_due(arena: Arena, board: Board) -> None:
    board.interval = 0.01
    metrics = Metrics(arena=arena)
    metrics.add_backend(board)
    metrics.counter("calls").add()
    wait_until(lambda: len(board.shown()) >= 3)
    metrics.close()


def due(folder: Path | None, clock: ManualClock, board: Board) -> Shown:
    def read() -> list[Sample]:
        return []

    return Shown(board, 0, read, lambda: folder, clock)


def test_an_interval_that_another_worker_has_shown_is_left_out(
    tmp_path: Path, board: Board
) -> None:
    clock = ManualClock()
    board.interval = 10.0
    first, second = due(tmp_path, clock, board), due(tmp_path, clock, board)
    for wait, shows in ((0, 1), (5, 0), (5, 1), (9.5, 1), (100, 1)):
        clock.advance(wait)
        before = len(board.shown())
        first.show(when_due=True)
        second.show(when_due=True)
        assert len(board.shown()) - before == shows
    second.show(when_due=False)
    assert len(board.shown()) == 5


@pytest.mark.parametrize("stamp", [b"", b"\0", b"\xff" * 8, b"\0\0\0\0\0\0\xf0\x7f"])
def test_a_damaged_stamp_or_one_of_the_future_is_none(
    tmp_path: Path, board: Board, stamp: bytes
) -> None:
    (tmp_path / "board-0.turns").write_bytes(stamp)
    due(tmp_path, ManualClock(), board).show(when_due=True)
    assert len(board.shown()) == 1


def test_alone_every_interval_is_ours(board: Board) -> None:
    clock = ManualClock()
    board.interval = 10.0
    shown = due(None, clock, board)
    for _ in range(3):
        shown.show(when_due=True)
    assert len(board.shown()) == 1


def test_a_worker_that_stays_at_it_is_waited_for_in_vain(tmp_path: Path, board: Board) -> None:
    held, done = fork.Event(), fork.Event()

    def hold() -> None:
        fd = os.open(tmp_path / "board-0.turns", os.O_RDWR | os.O_CREAT)
        fcntl.lockf(fd, fcntl.LOCK_EX)
        held.set()
        done.wait(30)

    child = fork.Process(target=hold)
    child.start()
    try:
        assert held.wait(30)
        clock = ManualClock()
        shown = due(tmp_path, clock, board)
        shown.show(when_due=True)
        began = clock.monotonic()
        with pytest.raises(TimeoutError, match="over 1 s"):
            shown.show(when_due=False)
        assert clock.monotonic() - began == pytest.approx(1.0, abs=0.01)
        assert board.shown() == []
    finally:
        child.kill()
        child.join(60)
    # The kernel has given up the lock of the dead.
    shown.show(when_due=False)
    assert len(board.shown()) == 1


def test_a_turn_whose_folder_is_gone_raises(tmp_path: Path) -> None:
    turns = Turns(tmp_path / "gone" / "file", ManualClock())
    with pytest.raises(OSError), turns.take(1.0, wait=False):
        pass
