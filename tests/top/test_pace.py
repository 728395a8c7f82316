from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit.top.pace import Paces, between, named, paces, quantile, rate
from tests.top.documents import endpoint, full, latency, state, worker

COUNTS = st.integers(0, 10**9)
ADD = ("", "POST", "/add", "add")


@given(COUNTS, COUNTS, st.floats(0.001, 3600))
def test_a_rate_is_never_negative_and_is_exact_where_a_count_grew(earlier, later, seconds):
    found = rate(earlier, later, seconds)
    assert found >= 0
    if later >= earlier:
        assert found * seconds == pytest.approx(later - earlier)
    else:  # begun anew: all of it came since
        assert found * seconds == pytest.approx(later)


@given(st.lists(COUNTS, min_size=2, max_size=6), st.floats(0.1, 60))
def test_rates_add_up_over_documents_whatever_goes_back(counts, seconds):
    documents = [
        state(at=100.0 + at * seconds, endpoints=[endpoint(count=count)], workers=[])
        for at, count in enumerate(counts)
    ]
    came = sum(
        paces(earlier, later).endpoints[ADD].calls * seconds
        for earlier, later in itertools.pairwise(documents)
    )
    anew = (now if now < before else now - before for before, now in itertools.pairwise(counts))
    assert came == pytest.approx(sum(anew), rel=1e-6, abs=1e-6)


@given(
    st.lists(st.floats(1e-6, 100), min_size=1, max_size=200),
    st.lists(st.floats(1e-6, 100), max_size=200),
    st.sampled_from([0.5, 0.99]),
)
def test_a_quantile_of_what_came_between_is_right_to_the_width_of_a_bucket(came, before, share):
    def bucket(seconds):
        upper = 1e-7
        while upper < seconds:
            upper *= 1.08
        return upper

    def counted(values):
        found = {}
        for each in sorted(map(bucket, values)):
            found[each] = found.get(each, 0) + 1
        return latency(*found.items())

    buckets = between(counted(before), counted(before + came))
    assert sum(count for _, count in buckets) == len(came)
    found = quantile(buckets, share)
    ordered = sorted(came)
    at = next(i for i in range(len(ordered)) if i + 1 >= share * len(ordered) - 1e-9)
    assert ordered[at] / 1.05 <= found <= ordered[at] * 1.05


def test_without_calls_between_there_is_no_latency():
    assert quantile([], 0.5) is None
    assert paces(full(), full(since=0)) == Paces()
    one = paces(state(endpoints=[endpoint()]), state(at=101.0, endpoints=[endpoint()]))
    assert (one.endpoints[ADD].p50, one.endpoints[ADD].calls) == (None, 0.0)


def test_the_first_document_has_no_pace():
    assert paces(None, full()) == Paces()


@pytest.mark.parametrize("at", [100.0, 99.0, float("inf"), float("nan")])
def test_documents_out_of_order_are_not_compared(at):
    assert paces(full(), state(at=at)) == Paces()


def test_another_run_is_not_compared():
    assert paces(full(), state(run="r2", at=200.0, endpoints=[endpoint(count=9)])) == Paces()


def test_two_documents_of_one_run():
    found = paces(full(), full(since=2))
    assert found.seconds == 2.0
    add = found.endpoints[ADD]
    assert (add.calls, add.errors, add.refused) == (120.0, 1.0, 10.0)
    assert add.p50 == pytest.approx(0.004, rel=0.05)
    assert add.p99 == pytest.approx(0.052, rel=0.05)
    assert found.calls[101] == 80.0
    assert found.cpu[101] == pytest.approx(0.42)
    assert found.endpoints["users", "GET", "/users/{id}", "get_user"].calls == 70.0
    assert set(named(full())) >= {ADD}


def test_a_worker_and_an_endpoint_that_came_since_have_no_pace_yet():
    earlier = state(workers=[worker(1, cpu=None), worker(2)])
    later = state(
        at=101.0, workers=[worker(1), worker(2, calls=5), worker(3)], endpoints=[endpoint()]
    )
    found = paces(earlier, later)
    assert found.calls == {1: 0.0, 2: 5.0}
    assert found.cpu == {2: 0.0}
    assert found.endpoints == {}
