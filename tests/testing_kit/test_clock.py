import threading

import pytest

from falconkit.clock import Clock
from falconkit.errors import ConfigurationError
from falconkit.testing import ManualClock


def test_it_stands_still():
    clock = ManualClock(monotonic=5.0, time=50.0)
    assert [clock.monotonic(), clock.monotonic()] == [5.0, 5.0]
    assert [clock.time(), clock.time()] == [50.0, 50.0]


def test_both_hands_advance():
    clock = ManualClock(monotonic=5.0, time=50.0)
    clock.advance(1.5)
    clock.advance(0)
    assert (clock.monotonic(), clock.time(), clock.slept) == (6.5, 51.5, [])


def test_sleep_is_noted_and_takes_its_time():
    clock = ManualClock(monotonic=5.0, time=50.0)
    clock.sleep(2.0)
    clock.sleep(0)
    assert (clock.monotonic(), clock.time(), clock.slept) == (7.0, 52.0, [2.0, 0])


def test_the_wall_clock_may_jump_alone():
    clock = ManualClock(monotonic=5.0, time=50.0)
    clock.set_time(20.0)
    assert (clock.monotonic(), clock.time()) == (5.0, 20.0)


@pytest.mark.parametrize("wrong", [-0.1, float("nan")])
def test_it_never_goes_back(wrong):
    clock = ManualClock(monotonic=5.0)
    with pytest.raises(ConfigurationError, match=str(wrong)):
        clock.advance(wrong)
    assert clock.monotonic() == 5.0


def test_a_negative_sleep_is_refused_as_the_system_refuses_it():
    clock = ManualClock(monotonic=5.0)
    with pytest.raises(ValueError, match="non-negative"):
        clock.sleep(-1)
    assert (clock.monotonic(), clock.slept) == (5.0, [])


def test_threads_lose_no_second():
    clock: Clock = ManualClock(monotonic=0.0)

    def run():
        for _ in range(200):
            clock.advance(1.0)
            clock.sleep(1.0)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.monotonic() == 8 * 200 * 2.0
    assert len(clock.slept) == 8 * 200
