from __future__ import annotations

import contextlib

import pytest

from falconkit import Context, layers
from falconkit.context import QUEUE_TIME
from falconkit.errors import ConfigurationError, Overloaded
from falconkit.events import Events, SheddingStarted, SheddingStopped
from falconkit.shedding import AdaptiveLimit, CoDel, Gradient2, Priority, shed
from falconkit.testing import ManualClock, Script
from falconkit.transport.http import extractors

CRITICAL, NORMAL, SHEDDABLE = Priority


@pytest.fixture
def clock():
    return ManualClock()


def bound(clock, initial, in_flight=0):
    limit = AdaptiveLimit(Gradient2(initial=initial), clock=clock)
    for _ in range(in_flight):
        assert limit.enter()
    return limit


def by_request(ctx, request):
    return request


def refused(call, ctx, request=None):
    with pytest.raises(Overloaded) as caught:
        call(ctx, request)
    return caught.value


def test_what_is_over_the_bound_is_refused_and_not_called(clock):
    inner = Script("ok")
    limit = bound(clock, 3, in_flight=2)
    call = shed(limit)(inner)
    assert call(Context(), 1) == "ok"
    assert limit.enter()
    refused(call, Context())
    inner.done()
    assert limit.status() == {"limit": 3, "in_flight": 3, "refused": 1}


def test_the_refused_are_told_different_times(clock):
    chance = iter([0.5, 1.5])
    call = shed(bound(clock, 1, 1), retry_after=2.0, rng=lambda low, high: next(chance))(Script())
    assert refused(call, Context()).retry_after == 1.0
    assert refused(call, Context()).retry_after == 3.0


@pytest.mark.parametrize(
    ("in_flight", "served"),
    [
        (4, {CRITICAL, NORMAL, SHEDDABLE}),
        (5, {CRITICAL, NORMAL}),
        (8, {CRITICAL, NORMAL}),
        (9, {CRITICAL}),
        (10, set()),
    ],
)
def test_the_least_worthy_are_refused_first_and_the_critical_last(clock, in_flight, served):
    call = shed(bound(clock, 10, in_flight), priority=by_request)(lambda ctx, request: request)
    got = set()
    for worth in Priority:
        with contextlib.suppress(Overloaded):
            got.add(call(Context(), worth))
    assert got == served


def test_without_priorities_the_whole_bound_is_for_all(clock):
    call = shed(bound(clock, 10, 9))(Script("ok"))
    assert call(Context(), 1) == "ok"


def test_a_priority_that_is_none_is_named(clock):
    call = shed(bound(clock, 10), priority=by_request)(Script())
    for worth in ("high", None, 7, []):
        with pytest.raises(ValueError, match="must return a Priority"):
            call(Context(), worth)


def late(seconds):
    return Context().having(QUEUE_TIME, seconds)


def test_what_waited_too_long_is_refused_before_it_takes_a_place(clock):
    limit = bound(clock, 10)
    call = shed(limit, queue=CoDel(clock=clock))(Script("ok"))
    refused(call, late(1.5))
    assert limit.status()["refused"] == 0
    assert call(late(0.5), 1) == "ok"


def stand(call, clock):
    for _ in range(11):
        call(late(0.5), CRITICAL)
        clock.advance(0.1)


def test_in_a_queue_that_stands_the_critical_go_last(clock):
    call = shed(bound(clock, 10, 1), priority=by_request, queue=CoDel(clock=clock))(
        lambda ctx, request: "ok"
    )
    stand(call, clock)
    refused(call, late(0.5), NORMAL)
    refused(call, late(0.5), SHEDDABLE)
    assert call(late(0.5), CRITICAL) == "ok"
    refused(call, late(1.5), CRITICAL)


def test_an_idle_process_does_not_refuse_for_a_queue_that_stands(clock):
    limit = bound(clock, 10)
    call = shed(limit, priority=by_request, queue=CoDel(clock=clock))(lambda ctx, request: "ok")
    stand(call, clock)
    assert call(late(0.5), NORMAL) == "ok"
    assert limit.enter()
    refused(call, late(0.5), NORMAL)


def test_without_a_queue_time_the_queue_is_not_looked_at(clock):
    assert shed(bound(clock, 1), queue=CoDel(clock=clock))(Script("ok"))(Context(), 1) == "ok"


def test_the_key_is_the_one_that_the_transport_fills():
    assert extractors.QUEUE_TIME is QUEUE_TIME


def test_an_episode_is_told_when_it_starts_and_when_it_is_over(clock):
    heard = []
    limit = bound(clock, 1, 1)
    call = shed(limit, events=Events(heard.append))(Script("ok", "ok", name="add"))
    for _ in range(3):
        refused(call, Context())
        clock.advance(1.0)
    assert heard == [SheddingStarted("add", "limit", 1)]
    limit.leave(0.0, 0.0)
    assert call(Context(), 1) == "ok"
    assert len(heard) == 1
    clock.advance(5.0)
    assert call(Context(), 1) == "ok"
    assert heard[1:] == [SheddingStopped("add", 3, 2.0)]


def test_a_refusal_after_a_long_quiet_starts_another(clock):
    heard = []
    call = shed(bound(clock, 1, 1))(Script(name="add"))
    ctx = Context(events=Events(heard.append))
    refused(call, ctx)
    clock.advance(60.0)
    refused(call, ctx)
    assert heard == [
        SheddingStarted("add", "limit", 1),
        SheddingStopped("add", 1, 0.0),
        SheddingStarted("add", "limit", 1),
    ]


def test_the_queue_is_named_as_the_cause(clock):
    heard = []
    call = shed(bound(clock, 7), queue=CoDel(clock=clock), events=Events(heard.append))(
        Script(name="add")
    )
    refused(call, late(2.0))
    assert heard == [SheddingStarted("add", "queue", 7)]


def test_a_place_comes_back_whatever_is_raised(clock):
    limit = bound(clock, 1)
    errors = [ValueError("no"), Overloaded(), KeyboardInterrupt(), SystemExit(3)]
    call = shed(limit)(Script(*errors))
    for error in errors:
        with pytest.raises(type(error)):
            call(Context(), 1)
    assert limit.in_flight == 0


def test_each_endpoint_has_a_bound_of_its_own_unless_it_is_given_one(clock):
    def nested(middleware):
        inner = middleware(Script("ok"))
        return middleware(lambda ctx, request: inner(ctx, request))

    assert nested(shed(Gradient2(initial=1)))(Context(), 1) == "ok"
    refused(nested(shed(bound(clock, 1))), Context())


def test_a_listener_that_raises_what_must_pass_takes_no_place(clock):
    def leaves(event):
        raise SystemExit(3)

    limit = bound(clock, 1, 1)
    call = shed(limit, events=Events(leaves))(Script("ok"))
    for _ in range(2):
        with contextlib.suppress(SystemExit, Overloaded):
            call(Context(), 1)
        clock.advance(10.0)
    limit.leave(0.0, 0.0)
    assert limit.in_flight == 0


@pytest.mark.parametrize(
    "build",
    [
        lambda: shed(8),
        lambda: shed(retry_after=0),
        lambda: shed(priority="high"),
        lambda: shed(shares={}),
        lambda: shed(shares={CRITICAL: 1.0, NORMAL: 0.5}),
        lambda: shed(shares={CRITICAL: 1.0, NORMAL: 0.5, SHEDDABLE: 0.6}),
        lambda: shed(shares={CRITICAL: 1.1, NORMAL: 0.5, SHEDDABLE: 0.5}),
        lambda: shed(shares={CRITICAL: 1.0, NORMAL: 0.5, SHEDDABLE: 0.0}),
    ],
)
def test_what_cannot_be_used_is_said_when_it_is_built(build):
    with pytest.raises(ConfigurationError):
        build()


def test_the_layer_shows_its_bound():
    (layer,) = layers(shed(Gradient2(most=32), queue=CoDel())(Script()))
    assert layer.name == "shed"
    assert "most=32" in layer.config["limit"]
    assert layer.config["queue"] == "CoDel(target=0.1, interval=1)"
