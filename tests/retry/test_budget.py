import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconkit.errors import ConfigurationError
from falconkit.retry import Budget
from falconkit.testing import ManualClock


def take(budget, most=10_000):
    taken = 0
    while taken < most and budget.withdraw():
        taken += 1
    return taken


@pytest.mark.parametrize(
    ("calls", "retries"), [(0, 100), (1, 100), (999, 100), (1000, 100), (1010, 101), (5000, 500)]
)
def test_a_tenth_of_the_calls_or_the_floor_of_ten_a_second(calls, retries):
    budget = Budget(clock=ManualClock())
    for _ in range(calls):
        budget.deposit()
    assert take(budget) == retries
    assert budget.status() == {"calls": calls, "retries": retries, "refused": 1}


@pytest.mark.parametrize("calls", [0, 1, 9, 10, 29, 30, 70, 100, 290])
def test_no_rounding_takes_or_gives_one(calls):
    budget = Budget(0.1, floor=0, clock=ManualClock())
    for _ in range(calls):
        budget.deposit()
    assert take(budget) == calls // 10


def test_what_is_older_than_the_window_counts_no_more():
    clock = ManualClock()
    budget = Budget(0.1, floor=0.1, window=10.0, clock=clock)
    for _ in range(100):
        budget.deposit()
    assert take(budget) == 10
    clock.advance(8.5)
    assert take(budget) == 0
    clock.advance(1.5)
    assert take(budget) == 1, "the calls are forgotten and the retries too; the floor is left"
    clock.advance(1e9)
    assert budget.status() == {"calls": 0, "retries": 0, "refused": 3}


class Model:
    """Every call and retry with its time."""

    def __init__(self, window, start):
        self.slot, self.start = window / 10, start
        self.calls, self.retries = [], []

    def within(self, times, now):
        first = int((now - self.start) / self.slot + 1e-9) - 9
        return sum(int((at - self.start) / self.slot + 1e-9) >= first for at in times)


@settings(deadline=None)
@given(
    st.lists(
        st.one_of(
            st.just("call"),
            st.just("retry"),
            # Quarters of a slot, so that rounding decides nothing.
            st.integers(1, 60).map(lambda n: n * 0.25),
        ),
        max_size=200,
    ),
    st.sampled_from([0.0, 0.1, 0.5, 2.0]),
    st.sampled_from([0.0, 0.2, 1.0]),
)
def test_it_is_a_sliding_window_of_ten_slots(steps, ratio, floor):
    clock = ManualClock()
    budget = Budget(ratio, floor=floor, window=10.0, clock=clock)
    model = Model(10.0, clock.monotonic())
    for step in steps:
        now = clock.monotonic()
        if step == "call":
            budget.deposit()
            model.calls.append(now)
        elif step == "retry":
            room = max(floor * 10.0, ratio * model.within(model.calls, now))
            may = model.within(model.retries, now) + 1 <= room + 1e-6
            assert budget.withdraw() == may
            if may:
                model.retries.append(now)
        else:
            clock.advance(step)
    status = budget.status()
    assert status["calls"] == model.within(model.calls, clock.monotonic())
    assert status["retries"] == model.within(model.retries, clock.monotonic())


def together(count, work):
    start = threading.Barrier(count)

    def run():
        start.wait()
        work()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_100_threads_lose_no_call_and_take_no_retry_too_many():
    budget = Budget(0.1, floor=0, clock=ManualClock())
    taken = []

    def work():
        for _ in range(200):
            budget.deposit()
        taken.append(take(budget, 30))

    together(100, work)
    assert budget.status()["calls"] == 20_000
    assert sum(taken) <= 2_000
    taken.append(take(budget))
    assert sum(taken) == 2_000


def test_calls_that_are_counted_while_slots_turn_are_not_lost():
    clock = ManualClock()
    budget = Budget(0.1, floor=0, window=60.0, clock=clock)

    def work():
        for _ in range(100):
            budget.deposit()
            clock.advance(0.001)

    together(50, work)
    assert budget.status()["calls"] == 5_000


@pytest.mark.parametrize(
    ("config", "why"),
    [
        ({"ratio": -0.1}, "ratio is -0.1: give retries a call, from 0 to 100"),
        ({"ratio": float("nan")}, "ratio is nan"),
        ({"floor": -1}, "floor is -1: give retries a second, 0 or more"),
        ({"floor": float("inf")}, "floor is inf"),
        ({"window": 0.5}, "window is 0.5: give seconds from 1 to 60"),
        ({"window": 61}, "window is 61"),
    ],
)
def test_bad_numbers_are_said_at_once(config, why):
    with pytest.raises(ConfigurationError, match=why):
        Budget(**config)


def test_it_says_what_it_is():
    assert repr(Budget()) == "Budget(ratio=0.1, floor=10.0, window=10.0)"
