"""Cells by key, against a dict; and what happens when there is no room."""

from __future__ import annotations

import errno
import mmap
from collections.abc import Callable, MutableSequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconkit.arena import Arena, Buckets, Table
from falconkit.arena.cells import Cells
from falconkit.arena.place import Place
from falconkit.errors import ConfigurationError
from falconkit.testing import ManualClock


def count(cell: MutableSequence[float], fresh: bool) -> tuple[float, bool]:
    cell[0] += 1.0
    return cell[0], fresh


keys = st.one_of(st.sampled_from("abc"), st.text(max_size=4), st.integers(0, 2000).map(str))
acts = st.one_of(
    st.tuples(st.just("apply"), keys, st.floats(0.5, 100.0)),
    st.tuples(st.sampled_from(["read", "clear"]), keys, st.just(0.0)),
    st.tuples(st.just("wait"), st.just(""), st.floats(0.0, 60.0)),
    st.tuples(st.just("reset"), st.just(""), st.just(0.0)),
)


@settings(deadline=None)
@given(st.lists(acts, max_size=120))
def test_it_is_a_dict_whose_entries_expire(acts: list[tuple[str, str, float]]) -> None:
    clock = ManualClock()
    table = Arena(clock=clock).table("model", 2)
    model: dict[str, tuple[float, float]] = {}
    for act, key, seconds in acts:
        now = clock.monotonic()
        hits, ends = model.get(key, (0.0, 0.0))
        live = abs(ends - now) > 1e-6 and ends > now
        if act == "apply":
            if abs(ends - now) <= 1e-6:
                continue
            assert table.apply(key, seconds, count) == ((hits if live else 0.0) + 1.0, not live)
            model[key] = ((hits if live else 0.0) + 1.0, now + seconds)
        elif act == "read":
            found = table.read(key)
            if live:
                assert found is not None
                assert found[0] == [hits, 0.0]
                assert found[1] == pytest.approx(ends - now)
            elif abs(ends - now) > 1e-6:
                assert found is None
        elif act == "clear":
            assert table.clear(key)
            model.pop(key, None)
        elif act == "reset":
            assert table.reset()
            model.clear()
        else:
            clock.advance(seconds)


def test_it_grows_and_forgets_nobody(arena: Arena) -> None:
    table = arena.table("hits", 1)
    for turn in (1.0, 2.0):
        for number in range(20_000):
            assert table.apply(f"key-{number}", 60.0, count) == (turn, turn == 1.0)
    assert arena.status()["full_count"] == 0
    files = [f.stat().st_size for f in (table._opened()._place.path or Path()).glob("hits*")]
    # 32 bytes a cell; while it is small it doubles, so it is half empty at worst.
    assert sum(files) < 20_000 * 32 * 2.2
    assert len(files) < 32


def test_another_process_sees_what_was_added(folder: Path, clock: ManualClock) -> None:
    # Two arenas of one folder have nothing in common but the files.
    first, second = (Arena(folder, clock=clock).table("hits", 1) for _ in range(2))
    second.apply("early", 60.0, count)
    for number in range(5_000):
        first.apply(f"key-{number}", 60.0, count)
    assert all(second.read(f"key-{number}") == ([1.0], 60.0) for number in range(5_000))
    assert second.apply("key-4999", 60.0, count) == (2.0, False)


def test_expired_cells_are_given_away_before_anything_grows(
    arena: Arena, clock: ManualClock
) -> None:
    table = arena.table("hits", 1)
    for generation in range(40):
        for number in range(400):
            table.apply(f"{generation}-{number}", 1.0, count)
        clock.advance(1.5)
    assert len(table._opened()._segments) == 1
    assert table.read("3-3") is None


@pytest.fixture
def troubles() -> list[str]:
    return []


@pytest.fixture
def small(folder: Path, clock: ManualClock) -> Cells:
    return Cells(Place(folder, clock=clock), "small", 2, clock=clock, max_cells=1024)


def test_keys_without_a_cell_share_one_and_are_counted(
    small: Cells, clock: ManualClock, troubles: list[str]
) -> None:
    table = Table(lambda: small, 1, clock=clock, degraded=lambda what, _: troubles.append(what))
    first = [table.apply(f"key-{number}", 60.0, count) for number in range(3000)]
    alone = first.count((1.0, True))
    assert alone + len(troubles) in (3000, 3001)
    assert 900 < alone <= 1025
    assert set(troubles) == {"full"}
    assert max(first) == (3000.0 - alone + 1, False)
    # Once cells expire the others get one of their own.
    clock.advance(61.0)
    before = len(troubles)
    assert table.apply("key-2999", 60.0, count) == (1.0, True)
    assert table.apply("key-2999", 60.0, count) == (2.0, False)
    assert len(troubles) == before


def test_a_full_table_of_buckets_shares_one_bucket_a_rate(
    folder: Path, clock: ManualClock, troubles: list[str]
) -> None:
    cells = Cells(Place(folder, clock=clock), "small", 1, clock=clock, max_cells=1024)
    buckets = Buckets(lambda: cells, clock=clock, degraded=lambda what, _: troubles.append(what))
    admitted = sum(buckets.take(f"key-{number}", 60.0, 5, 5)[0] for number in range(3000))
    assert admitted + len(troubles) == 3001, "the shared bucket admits once"
    # Another rate has its own.
    full = next(n for n in range(3000) if (f"key-{n}", 60.0, 5) not in buckets._hot)
    assert buckets.take(f"key-{full}", 60.0, 5)[0] is False
    clock.advance(30.0)
    assert buckets.take(f"key-{full}", 60.0, 5)[0] is False
    clock.advance(30.1)
    assert buckets.take(f"key-{full}", 60.0, 5) == (True, pytest.approx(299.9))


def test_no_room_to_grow_is_asked_for_once_a_second(
    arena: Arena, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def no_room(self: Place, name: str, size: int) -> mmap.mmap:
        asked.append(name)
        raise OSError(errno.ENOSPC, "No space left on device")

    table = arena.table("hits", 1)
    table.apply("first", 60.0, count)
    monkeypatch.setattr(Place, "segment", no_room)
    for number in range(2000):
        table.apply(f"key-{number}", 60.0, count)
    assert asked == ["hits.table-2.2"]
    assert arena.status()["full_count"] > 900  # type: ignore[operator]
    monkeypatch.undo()
    clock.advance(1.1)
    before = arena.status()["full_count"]
    for number in range(2000):
        table.apply(f"key-{number}", 60.0, count)
    assert arena.status()["full_count"] == before


def test_no_room_at_all_makes_the_table_private(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Place.segment

    def no_room(self: Place, name: str, size: int) -> mmap.mmap:
        if self.path is not None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(self, name, size)

    monkeypatch.setattr(Place, "segment", no_room)
    buckets = arena.buckets()
    assert [buckets.take("ann", 60.0, 2)[0] for _ in range(3)] == [True, True, False]
    assert arena.status()["private_count"] == 1


def test_what_change_raises_comes_through_and_changes_nothing(arena: Arena) -> None:
    table = arena.table("hits", 1)
    table.apply("ann", 60.0, count)

    def fail(cell: MutableSequence[float], fresh: bool) -> None:
        cell[0] = 99.0
        raise LookupError("no")

    with pytest.raises(LookupError):
        table.apply("ann", 60.0, fail)
    assert table.apply("ann", 60.0, count) == (2.0, False)


def test_widths_are_told_apart(arena: Arena) -> None:
    assert arena.table("hits", 2) is arena.table("hits", 2)
    with pytest.raises(ConfigurationError, match="width 3 has width 2 already"):
        arena.table("hits", 3)
    with pytest.raises(ConfigurationError):
        arena.table("none", 0)


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a b", "é"])
@pytest.mark.parametrize("kind", ["slots", "buckets"])
def test_names_are_those_of_files(arena: Arena, name: str, kind: str) -> None:
    make: Callable[[str], object] = getattr(arena, kind)
    with pytest.raises(ConfigurationError, match="part of file names"):
        make(name)


def test_cells_are_well_filled_before_some_are_added(clock: ManualClock) -> None:
    place = Place(None, clock=clock)
    place.seed = bytes(32)
    cells = Cells(place, "load", 1, clock=clock)
    now = cells.now()
    loads = []
    for number in range(60_000):
        digest = cells.digest(b"%d" % number)
        while (spot := cells.claim(digest, now)) is None:
            loads.append(number / cells._cells())
            assert cells.grow()
        spot[0].floats[spot[0].at(spot[1])] = now + 1.0
    # A segment of a million keys' table adds an eighth, so 48 bytes a key need 0.75 here.
    assert len(loads) >= 6
    assert min(loads[1:]) > 0.75
