"""The last messages of all processes: kept whole, in order, whoever is killed."""

from __future__ import annotations

import os
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from falconkit.arena import Arena
from falconkit.arena.cellfile import HEADER


@pytest.fixture
def arena(tmp_path):
    arena = Arena(tmp_path / "run")
    yield arena
    arena.close()


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(max_size=16), max_size=20), st.integers(1, 6))
def test_the_last_are_kept_in_their_order(messages, entries):
    journal = Arena(directory=None).journal("news", entries=entries, size=16)
    for message in messages:
        journal.add(message)
    assert journal.read() == messages[-entries:]


def test_one_that_is_too_long_is_dropped_and_counted(arena):
    journal = arena.journal("news", entries=2, size=4)
    journal.add(b"12345")
    assert journal.read() == []
    assert arena.status()["full_count"] == 1


def test_processes_share_it_and_it_outlives_them(arena):
    journal = arena.journal("news", entries=64, size=16)
    journal.add(b"ours")
    children = []
    for number in range(4):
        pid = os.fork()
        if pid == 0:
            for each in range(10):
                journal.add(b"%d.%d" % (number, each))
            os._exit(0)
        children.append(pid)
    for pid in children:
        assert os.waitpid(pid, 0)[1] == 0
    found = journal.read()
    dropped = 41 - len(found)  # a lock that was not had within 5 ms, on a machine that is busy
    assert found[0] == b"ours"
    for number in range(4):
        theirs = [each for each in found if each.startswith(b"%d." % number)]
        assert theirs == sorted(theirs)
    assert 0 <= dropped < 41


def test_threads_share_it():
    journal = Arena(directory=None).journal("news", entries=400, size=16)

    def write(number: int) -> None:
        for each in range(50):
            journal.add(b"%d.%02d" % (number, each))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    found = journal.read()
    assert len(set(found)) == len(found)
    for number in range(4):
        theirs = [each for each in found if each.startswith(b"%d." % number)]
        assert theirs == sorted(theirs)


def test_half_a_message_is_none(arena):
    journal = arena.journal("news", entries=4, size=16)
    for message in (b"one", b"two"):
        journal.add(message)
    (file,) = arena.folder().glob("news-*.journal")
    with file.open("r+b") as memory:  # as a writer leaves it that was killed
        memory.seek(HEADER + 16 + 16 + 16)
        memory.write(b"t#o")
    assert journal.read() == [b"one"]
    journal.add(b"three")
    assert journal.read() == [b"one", b"three"]


def test_the_same_name_and_shape_is_the_same_journal(arena):
    assert arena.journal("a", entries=2, size=8) is arena.journal("a", entries=2, size=8)
    assert arena.journal("a", entries=2, size=8) is not arena.journal("a", entries=3, size=8)


def test_closed_it_opens_anew(arena):
    journal = arena.journal("news", entries=2, size=8)
    journal.add(b"one")
    arena.close()
    assert journal.read() == [b"one"]
