"""What the client stack promises of a service that fails, in a small simulated storm."""

import random
import re

import pytest

from benchmarks.storm import STACKS, ours, storm
from benchmarks.storm_chart import Weather, chart, table

SMALL = Weather(clients=100, processes=4, fails_at=12, end=34)


@pytest.mark.parametrize("seed", range(5))
def test_our_clients_keep_the_load_low_and_let_it_recover(seed):
    weather = Weather(clients=100, processes=4, fails_at=12, end=34, seed=seed)
    seen = storm(ours, weather)
    assert seen.load[weather.fails_at - 1] == pytest.approx(1.0, abs=0.02)  # all of its capacity
    assert seen.most <= 1.1
    assert seen.recovered is not None
    assert seen.recovered <= 5


@pytest.mark.parametrize("name", [name for name in STACKS if STACKS[name] is not ours])
def test_plain_retries_do_neither(name):
    seen = storm(STACKS[name], SMALL)
    assert seen.good[SMALL.fails_at - 1] == pytest.approx(1.0, abs=0.02)
    assert seen.most > 1.7
    assert seen.recovered is None
    assert max(seen.good[SMALL.back_at :]) < 0.5


def test_nor_do_our_clients_storm_what_refuses_at_once():
    weather = Weather(clients=100, processes=4, fails_at=12, end=34, refuses=True)
    seen = storm(ours, weather)
    assert seen.most <= 1.1
    assert seen.recovered is not None
    assert seen.recovered <= 5
    assert storm(STACKS["3 tries"], weather).most > 2.5


def test_a_seed_is_a_storm_and_the_suites_chance_stays_as_it_was():
    weather = Weather(clients=40, processes=2, fails_at=3, lasts=3, end=12, seed=7)
    before = random.getstate()
    first, second = storm(ours, weather), storm(ours, weather)
    assert first == second
    assert random.getstate() == before


def test_what_is_shown_of_it():
    weather = Weather(clients=20, processes=2, fails_at=4, lasts=2, end=10)
    outcomes = {name: storm(STACKS[name], weather) for name in STACKS}
    assert table(outcomes).count("\n") == 1 + len(STACKS)
    drawn = chart(outcomes)
    curves = re.findall(r'points="([^"]*)"', drawn)
    assert len(curves) == 3 * len(STACKS)  # two of each, and the legend
    assert all(re.fullmatch(r"[\d.]+,[\d.]+", point) for each in curves for point in each.split())
