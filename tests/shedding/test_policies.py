from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit.errors import ConfigurationError
from falconkit.shedding import AIMD, Gradient2, State, Window

seconds = st.floats(0.0, 100.0)
counts = st.integers(0, 1_000)
windows = st.lists(
    st.builds(Window, seconds, counts, counts, counts, st.floats(0.0, 1e10)), max_size=200
)
bounds = st.tuples(*[st.integers(1, 300)] * 3).map(sorted)


def policies(low, start, high):
    return [
        Gradient2(initial=start, least=low, most=high, probe=5.0),
        AIMD(timeout=1.0, initial=start, least=low, most=high),
    ]


def run(policy, windows, state=None):
    state = policy.first() if state is None else state
    for window in windows:
        state = policy.after(state, window)
    return state


def used(state, seconds):
    return Window(seconds, in_flight=int(state.limit))


def settle(policy, seconds, number, state=None):
    state = policy.first() if state is None else state
    for _ in range(number):
        state = policy.after(state, used(state, seconds))
    return state


@given(bounds, windows)
def test_the_bound_stays_within_its_bounds(bounds, windows):
    low, start, high = bounds
    for policy in policies(low, start, high):
        state = policy.first()
        assert state.limit == start
        for window in windows:
            state = policy.after(state, window)
            assert low <= state.limit <= high
            assert 0 <= state.resume <= high


@given(windows)
def test_the_baseline_is_something_that_was_seen(windows):
    state = run(Gradient2(probe=5.0), windows)
    seen = [window.seconds for window in windows if window.seconds > 0]
    assert state.baseline <= max(seen, default=0.0) * (1 + 1e-9)
    assert (state.baseline > 0) == bool(seen)


@given(st.floats(0.001, 10.0))
def test_it_grows_while_latency_is_flat_and_it_is_used(latency):
    for policy in (Gradient2(initial=8), AIMD(timeout=10.0, initial=8)):
        before = policy.first()
        for _ in range(50):
            after = policy.after(before, used(before, latency))
            assert after.limit > before.limit
            before = after


@given(st.floats(0.001, 10.0))
def test_it_stays_while_it_is_not_used(latency):
    for policy in (Gradient2(initial=50), AIMD(timeout=10.0, initial=50)):
        assert run(policy, [Window(latency, in_flight=24)] * 100).limit == 50


@given(st.floats(0.001, 1.0), st.floats(2.0, 50.0))
def test_it_shrinks_when_latency_rises_and_recovers_when_it_falls(latency, times):
    aimd = AIMD(timeout=latency * 1.5, initial=8, most=100)
    for policy in (Gradient2(initial=8, most=100), aimd):
        high = settle(policy, latency, 60)
        low = settle(policy, latency * times, 40, high)
        assert low.limit < high.limit / 1.5
        assert settle(policy, latency, 200, low).limit >= high.limit * 0.9


@given(st.floats(1.6, 100.0))
def test_an_overload_does_not_become_the_baseline(times):
    policy = Gradient2(initial=20)
    calm = run(policy, [Window(0.1, in_flight=20)] * 20)
    overload = [Window(0.1 * times, in_flight=20, refused=5)] * 500
    assert run(policy, overload, calm).baseline == calm.baseline


def at(ended, seconds=0.4, refused=1):
    return Window(seconds, in_flight=20, refused=refused, ended=ended)


def test_a_probe_halves_the_bound_for_two_windows_and_takes_what_it_sees():
    policy = Gradient2(initial=20)
    state = run(policy, [Window(0.1, in_flight=20, ended=601.0)] * 15)
    state = run(policy, [at(658.0), at(659.0)], state)
    assert (state.turn, state.resume) == (10, 0.0)
    probing = policy.after(state, at(660.0))
    assert probing.limit == pytest.approx((probing.resume - policy.queue) / 2)
    draining = policy.after(probing, at(661.0, seconds=0.9))
    assert draining.limit == probing.limit
    assert draining.baseline == probing.baseline
    assert policy.after(draining, at(662.0, seconds=0.3)) == State(
        probing.resume, 0.3, state.seen, 11
    )


def test_who_refuses_nobody_does_not_probe():
    policy = Gradient2(initial=20)
    state = run(policy, [at(float(second), refused=0) for second in range(600, 800)])
    assert state.resume == 0
    assert state.turn == 13


def test_a_process_that_has_just_started_waits_for_the_next_probe():
    policy = Gradient2(initial=20)
    assert policy.after(policy.first(), at(660.0)).resume == 0


def test_processes_that_started_at_other_times_probe_at_the_same():
    def probes(start):
        policy, state, found = Gradient2(initial=20), Gradient2(initial=20).first(), []
        for second in range(start, 1_000):
            before, state = state, policy.after(state, at(float(second)))
            if state.resume and not before.resume:
                found.append(second)
        return found

    assert probes(615) == [660, 720, 780, 840, 900, 960]
    assert probes(737) == [780, 840, 900, 960]


def test_a_window_in_which_no_call_ended_is_the_worst():
    policy = Gradient2(initial=20)
    state = policy.after(State(20.0, 0.1, 10), Window(0.0, in_flight=20, dropped=20))
    assert state.limit == pytest.approx(20 * 0.8 + (20 * 0.5 + 4) * 0.2)


def test_the_numbers_are_those_of_netflix():
    """Three windows by ``Gradient2Limit._update``, by hand."""
    policy = Gradient2(initial=20, least=20)
    state = policy.after(policy.first(), Window(0.1, in_flight=20))
    assert state.limit == pytest.approx(20 * 0.8 + (20 * 1.0 + 4) * 0.2)
    state = policy.after(state, Window(0.3, in_flight=20))
    long = 0.2
    assert state.baseline == pytest.approx(long)
    assert state.limit == pytest.approx(20.8 * 0.8 + (20.8 * 1.5 * long / 0.3 + 4) * 0.2)
    settled = State(40.0, 0.1, 10)
    state = policy.after(settled, Window(0.04, in_flight=40))
    smoothed = 0.1 + (0.04 - 0.1) * 2 / 601
    assert state.baseline == pytest.approx(smoothed * 0.95)


def test_aimd_goes_up_by_one_and_down_by_a_tenth():
    policy = AIMD(timeout=0.5, initial=20)
    assert policy.after(State(20.0), Window(0.4, in_flight=10)).limit == 21
    assert policy.after(State(20.0), Window(0.4, in_flight=9)).limit == 20
    assert policy.after(State(20.0), Window(0.6, in_flight=9)).limit == 18
    assert policy.after(State(20.0), Window(0.1, in_flight=9, dropped=1)).limit == 18


@pytest.mark.parametrize(
    "build",
    [
        lambda: Gradient2(initial=0),
        lambda: Gradient2(least=0),
        lambda: Gradient2(initial=300),
        lambda: Gradient2(least=10, initial=9),
        lambda: Gradient2(most=float("inf")),
        lambda: Gradient2(smoothing=0),
        lambda: Gradient2(smoothing=1.1),
        lambda: Gradient2(queue=0),
        lambda: Gradient2(tolerance=0.9),
        lambda: Gradient2(long_window=1),
        lambda: Gradient2(probe=0),
        lambda: Gradient2(tolerance=float("nan")),
        lambda: AIMD(timeout=0),
        lambda: AIMD(timeout=1, backoff=1.0),
        lambda: AIMD(timeout=1, least=9),
    ],
)
def test_what_cannot_be_used_is_said(build):
    with pytest.raises(ConfigurationError):
        build()
