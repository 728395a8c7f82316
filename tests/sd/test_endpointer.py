from __future__ import annotations

import logging
import threading

import pytest

from falconkit import Context
from falconkit.errors import ConfigurationError, NoInstance, UpstreamUnavailable
from falconkit.events import DiscoveryLost, DiscoveryRecovered, Events, InstancesChanged
from falconkit.sd import Balancer, Endpointer, Instance, Static, subset
from falconkit.testing import ManualClock
from tests.sd.doubles import Factory, Told, over


def addresses(endpointer):
    return [each.address for each in endpointer.roster().members]


def made(endpointer):
    """Return the members' endpoints, which are made by that."""
    return [each.endpoint for each in endpointer.roster().members]


def test_endpoints_are_made_and_closed_as_instances_come_and_go():
    told, factory, heard = Told(), Factory(), []
    endpointer = Endpointer(told, factory, service="counter", events=Events(heard.append))
    assert addresses(endpointer) == []
    told.tell("a:1", "b:1")
    kept = endpointer.roster().members[0]
    assert factory.made == []
    assert made(endpointer) == made(endpointer)
    told.tell("a:1", "c:1")
    made(endpointer)
    assert addresses(endpointer) == ["a:1", "c:1"]
    assert endpointer.roster().members[0] is kept
    assert (factory.made, factory.closed) == (["a:1", "b:1", "c:1"], ["b:1"])
    told.tell()
    assert factory.closed == ["b:1", "a:1", "c:1"]
    assert heard == [
        InstancesChanged("counter", 2, 0, 2),
        InstancesChanged("counter", 1, 1, 2),
        InstancesChanged("counter", 0, 2, 0),
    ]
    told.tell("d:1", "never-called:1")
    endpointer.roster().members[0].endpoint  # noqa: B018 - it is made
    endpointer.close()
    assert (factory.made[-1], factory.closed[-1]) == ("d:1", "d:1")
    assert told.listeners == []


def test_what_is_said_of_an_instance_changes_without_a_new_endpoint():
    told, factory = Told("a:1"), Factory()
    endpointer = Endpointer(told, factory)
    before = endpointer.roster()
    made(endpointer)
    told.tell(Instance("a", 1, weight=5.0, healthy=False))
    made(endpointer)
    (member,) = endpointer.roster().members
    assert member is before.members[0]
    assert (member.instance.weight, factory.made) == (5.0, ["a:1"])
    assert endpointer.roster() is not before


def test_an_outage_serves_the_last_set_for_as_long_as_wanted():
    told, clock, heard = Told("a:1"), ManualClock(), []
    endpointer = Endpointer(
        told, Factory(), service="counter", stale_for=10.0, clock=clock, events=Events(heard.append)
    )
    endpointer.believed()
    told.fail(OSError("away"))
    clock.advance(9.0)
    told.fail(OSError("still away"))
    assert [each.address for each in endpointer.believed().members] == ["a:1"]
    clock.advance(1.0)
    with pytest.raises(NoInstance) as refused:
        endpointer.believed()
    assert str(refused.value.__cause__) == "still away"
    assert refused.value.retry_after == 1.0
    told.tell("a:1")
    assert endpointer.believed().members
    assert heard[1:] == [DiscoveryLost("counter", "OSError: away"), DiscoveryRecovered("counter")]
    endpointer.close()


def test_a_balancer_refuses_once_the_set_is_stale_and_not_before():
    told, clock = Told("a:1"), ManualClock()
    call = Balancer(Endpointer(told, Factory(), stale_for=5.0, clock=clock), clock=clock)
    assert call(Context(), 1) == "a:1"
    told.fail(OSError("away"))
    assert call(Context(), 1) == "a:1"
    clock.advance(5.0)
    with pytest.raises(NoInstance):
        call(Context(), 1)
    told.tell("b:1")
    assert call(Context(), 1) == "b:1"


def test_by_default_an_outage_changes_nothing():
    told, clock, factory = Told("a:1"), ManualClock(), Factory()
    endpointer = Endpointer(told, factory, clock=clock)
    endpointer.believed()
    made(endpointer)
    told.fail(OSError("away"))
    clock.advance(1e9)
    assert endpointer.believed().members
    assert factory.closed == []


def test_an_outage_without_listeners_is_a_warning(caplog):
    told = Told("a:1")
    Endpointer(told, Factory(), service="counter").believed()
    told.fail(OSError("away"))
    assert [(r.levelno, "DiscoveryLost" in r.getMessage()) for r in caplog.records] == [
        (logging.WARNING, True)
    ]


def test_an_instance_whose_endpoint_cannot_be_made_is_passed_over(caplog):
    good, tried = Factory(), []

    def factory(instance):
        if instance.host == "bad":
            tried.append(instance)
            raise ConfigurationError("no")
        return good(instance)

    call = Balancer(Endpointer(Static("bad:1", "good:1"), factory), outliers=None)
    assert {call(Context(), n) for n in range(200)} == {"good:1"}
    assert len(tried) == len(caplog.records) == 1
    assert "nothing that calls bad:1 can be made" in caplog.text
    alone = Balancer(Endpointer(Static("bad:1"), factory))
    with pytest.raises(UpstreamUnavailable, match="bad:1 cannot be called") as raised:
        alone(Context(), 1)
    assert isinstance(raised.value.__cause__, ConfigurationError)


def test_threads_that_call_a_new_instance_together_share_one_endpoint():
    go, factory = threading.Barrier(8), Factory()

    def slow(instance):
        made = factory(instance)
        for _ in range(1000):
            made.address.encode()  # others come meanwhile
        return made

    call = Balancer(Endpointer(Static("a:1"), slow))
    call.pick(Context(), None)

    def run():
        go.wait(60)
        call(Context(), 1)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert factory.made == ["a:1"]
    call.close()
    assert factory.closed == ["a:1"]


def test_the_first_call_waits_for_discovery_within_bounds():
    told = Told()
    endpointer = Endpointer(told, Factory(), first_wait=30.0)
    call = Balancer(endpointer)
    answers = []
    caller = threading.Thread(target=lambda: answers.append(call(Context(), 1)))
    caller.start()
    endpointer.live()  # it listens by now
    told.tell("a:1")
    caller.join(60)
    assert answers == ["a:1"]


def test_nobody_waits_past_the_deadline_nor_for_an_empty_set():
    clock = ManualClock()
    call = Balancer(Endpointer(Told(), Factory(), first_wait=30.0, clock=clock), clock=clock)
    with pytest.raises(NoInstance):
        call(Context(deadline=clock.monotonic()), 1)
    told = Told()
    told.tell()
    with pytest.raises(NoInstance) as refused:
        Balancer(Endpointer(told, Factory(), first_wait=30.0))(Context(), 1)
    assert refused.value.retry_after == 1.0


def test_an_endpoint_in_use_is_closed_when_its_call_ends():
    told, begun, go_on = Told("a:1"), threading.Event(), threading.Event()

    def answer(address, ctx, request):
        if request == "slow":
            begun.set()
            assert go_on.wait(30)
        return address

    factory = Factory(answer)
    call = Balancer(Endpointer(told, factory))
    answers = []
    caller = threading.Thread(target=lambda: answers.append(call(Context(), "slow")))
    caller.start()
    assert begun.wait(30)
    told.tell("b:1")
    assert factory.closed == []
    assert call(Context(), "quick") == "b:1"
    go_on.set()
    caller.join(60)
    assert (answers, factory.closed) == (["a:1"], ["a:1"])


def test_a_closed_one_has_nobody_and_cannot_begin_again():
    call = Balancer(over("a:1", "b:1"))
    call(Context(), 1)
    call.close()
    call.close()
    with pytest.raises(NoInstance):
        call(Context(), 1)


def test_close_of_an_endpoint_that_fails_harms_nobody(caplog):
    class Bad(Factory):
        def __call__(self, instance):
            endpoint = super().__call__(instance)

            class Failing:
                def __call__(self, ctx, request):
                    return endpoint(ctx, request)

                def close(self):
                    raise OSError("no")

            return Failing()

    told = Told("a:1", "b:1")
    endpointer = Endpointer(told, Bad())
    made(endpointer)
    told.tell("c:1")
    assert addresses(endpointer) == ["c:1"]
    assert caplog.text.count("could not be closed") == 2


def test_sets_change_under_many_calls_and_no_call_meets_a_closed_endpoint():
    told, opened, closed = Told("a:1", "b:1"), set(), set()

    class Strict(Factory):
        def __call__(self, instance):
            opened.add(instance.address)
            state = {"closed": False}

            class Endpoint:
                def __call__(self, ctx, request):
                    assert not state["closed"]
                    return instance.address

                def close(self):
                    state["closed"] = True
                    closed.add(instance.address)

            return Endpoint()

    call = Balancer(Endpointer(told, Strict()))
    stop, errors = threading.Event(), []

    def caller():
        while not stop.is_set():
            try:
                call(Context(), 1)
            except BaseException as error:
                errors.append(error)
                return

    threads = [threading.Thread(target=caller) for _ in range(8)]
    for thread in threads:
        thread.start()
    for n in range(300):
        told.tell(f"a{n}:1", f"b{n}:1")
        call(Context(), 1)
    stop.set()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert len(opened) >= 300
    assert opened - closed <= {"a299:1", "b299:1"}
    assert closed <= opened
    assert [each.in_flight for each in call._endpointer.roster().members] == [0, 0]


def test_subsets_are_even_and_stable():
    instances = tuple(Instance(f"10.0.{n // 250}.{n % 250 + 1}", 80) for n in range(300))
    size, clients = 20, 15 * 8  # eight rounds of 300 // 20
    chosen = [subset(size, client=client)(instances) for client in range(clients)]
    counts = dict.fromkeys(instances, 0)
    for part in chosen:
        assert len(part) == size
        for each in part:
            counts[each] += 1
    assert set(counts.values()) == {8}
    assert subset(size, client=7)(instances) == chosen[7]
    assert subset(20, client=3)(instances[:39]) == instances[:39]
    uneven = [set(subset(20, client=client)(instances[:59])) for client in range(2)]
    assert uneven[0] | uneven[1] == set(instances[:59])
    assert not uneven[0] & uneven[1]


def test_a_subset_keeps_most_of_its_members_when_one_instance_goes():
    instances = tuple(Instance(f"10.0.0.{n}", 80) for n in range(1, 201))
    before = set(subset(20, client=3)(instances))
    after = set(subset(20, client=3)(instances[1:]))
    assert len(before & after) >= 8


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: over("a:1", stale_for=-1),
        lambda: over("a:1", first_wait=-1),
        lambda: Endpointer(Static("a:1"), None),
        lambda: Static(),
        lambda: Static("a"),
        lambda: subset(0, client=1),
        lambda: subset(1, client=-1),
        lambda: Balancer(over("a:1"), panic=2),
        lambda: Balancer(over("a:1"), slow_start=-1),
        lambda: Balancer(over("a:1"), name="a b"),
        lambda: Balancer(over("a:1"), by="round robin"),
    ],
)
def test_what_cannot_work_is_said_at_once(wrong):
    with pytest.raises(ConfigurationError):
        wrong()
