"""The bound finds what a service does best, in simulated time."""

from __future__ import annotations

import pytest

from falconkit.shedding import AIMD, AdaptiveLimit, Gradient2
from falconkit.testing import ManualClock
from tests.shedding.service import Service

SERVICE = 0.05


def serving(policy, servers, seed=7):
    clock = ManualClock()
    limit = AdaptiveLimit(policy, clock=clock)
    return Service(limit, clock=clock, servers=servers, service=SERVICE, seed=seed)


@pytest.mark.parametrize("servers", [8, 24])
@pytest.mark.parametrize(
    "policy",
    [Gradient2(), Gradient2(initial=1), AIMD(timeout=1.5 * SERVICE)],
    ids=["gradient", "gradient from 1", "aimd"],
)
def test_under_ten_times_the_load_it_serves_what_it_can_in_good_time(policy, servers):
    service = serving(policy, servers)
    most = servers / SERVICE
    service.run(3 * most, 70)
    seen = service.run(10 * most, 30)
    assert servers <= seen.limit <= 1.5 * servers + 2 * 4
    assert seen.goodput >= 0.95 * most
    assert seen.quantile(0.99) <= 4 * SERVICE
    assert seen.refused > 0.85 * 10 * most * 30


def test_without_a_bound_nobody_is_served_in_good_time():
    service = serving(Gradient2(initial=100_000, least=100_000, most=100_000), 8)
    service.run(10 * 8 / SERVICE, 10)
    seen = service.run(10 * 8 / SERVICE, 5)
    assert seen.quantile(0.0) > 100 * SERVICE


def test_nobody_is_refused_while_the_service_keeps_up():
    service = serving(Gradient2(), 24)
    service.run(0.2 * 24 / SERVICE, 30)
    assert service.run(0.5 * 24 / SERVICE, 60).refused == 0


def test_an_overload_that_lasts_changes_nothing():
    service = serving(Gradient2(), 8)
    service.run(24 / SERVICE, 60)
    early = service.run(24 / SERVICE, 60)
    service.run(24 / SERVICE, 600)
    late = service.run(24 / SERVICE, 60)
    assert late.limit <= 1.25 * early.limit


def test_processes_before_one_backend_do_not_push_each_other_up():
    clock = ManualClock()
    limits = []
    for _ in range(3):
        limits.append(AdaptiveLimit(Gradient2(), clock=clock))
        clock.advance(17.3)
    service = Service(*limits, clock=clock, servers=12, service=SERVICE, seed=3)
    service.run(36 / SERVICE, 60)
    early = service.run(36 / SERVICE, 60)
    service.run(36 / SERVICE, 300)
    late = service.run(36 / SERVICE, 60)
    assert late.goodput >= 0.95 * 12 / SERVICE
    assert late.limit <= 1.25 * early.limit
    assert late.limit <= 1.5 * 12 + 3 * 5


def test_a_service_that_becomes_slower_is_used_to_the_full_all_the_same():
    service = serving(Gradient2(), 24)
    service.run(72 / SERVICE, 70)
    service.service = 3 * SERVICE
    service.run(72 / SERVICE, 200)
    assert service.run(72 / SERVICE, 30).goodput >= 0.95 * 24 / (3 * SERVICE)
    service.service = SERVICE
    service.run(72 / SERVICE, 100)
    assert service.run(72 / SERVICE, 30).goodput >= 0.95 * 24 / SERVICE
