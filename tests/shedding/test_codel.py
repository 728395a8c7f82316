from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit.errors import ConfigurationError
from falconkit.shedding import CoDel
from falconkit.testing import ManualClock


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def queue(clock):
    return CoDel(target=0.1, interval=1.0, clock=clock)


def standing(queue, clock, waited=0.3):
    """Let a second pass in which nobody waited less than the target."""
    for _ in range(11):
        assert not queue.refuses(waited)
        clock.advance(0.099)
    assert queue.refuses(waited) == (waited > 0.1)


def test_who_waited_longer_than_the_interval_is_refused_at_once(queue):
    assert queue.refuses(1.001)
    assert queue.refuses(60.0, spare=True)


def test_a_burst_is_let_through(queue, clock):
    for waited in (0.9, 0.7, 0.5, 0.3, 0.05, 0.9, 0.5):
        assert not queue.refuses(waited)
        clock.advance(0.2)


def test_a_queue_that_stands_is_cut(queue, clock):
    standing(queue, clock)
    assert queue.refuses(0.11)
    assert not queue.refuses(0.1)


def test_one_who_waited_little_ends_it(queue, clock):
    standing(queue, clock)
    assert queue.refuses(0.3)
    assert not queue.refuses(0.01)
    assert not queue.refuses(0.3)


def test_the_last_to_go_are_spared_by_a_queue_that_stands(queue, clock):
    standing(queue, clock)
    assert not queue.refuses(0.9, spare=True)


def test_a_pause_is_no_queue(queue, clock):
    assert not queue.refuses(0.3)
    clock.advance(1_000.0)
    assert not queue.refuses(0.3)
    clock.advance(0.5)
    assert not queue.refuses(0.3)


@given(st.lists(st.tuples(st.floats(0.0, 2.0), st.floats(0.0, 3.0)), max_size=100))
def test_who_waited_at_most_the_target_is_never_refused_and_who_waited_longer_than_all_is(calls):
    clock = ManualClock()
    queue = CoDel(target=0.1, interval=1.0, clock=clock)
    for waited, pause in calls:
        refused = queue.refuses(waited)
        assert refused or waited <= 1.0
        assert not refused or waited > 0.1
        clock.advance(pause)


@pytest.mark.parametrize(("target", "interval"), [(0, 1), (1, 1), (2, 1), (0.1, float("inf"))])
def test_what_cannot_be_used_is_said(target, interval):
    with pytest.raises(ConfigurationError):
        CoDel(target=target, interval=interval)
