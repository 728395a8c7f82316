"""What Eureka's deltas tell, and what is done when they do not agree with the registry."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from falconkit.sd import Instance, eureka
from falconkit.sd.eureka import EurekaRegistry, eureka_app
from falconkit.sd.eureka_mirror import Mirror
from falconkit.testing import wait_until
from falconkit.testing.conform_instancer import Ear
from tests.sd.standins import Eureka

ONE, TWO, OTHER = (Instance(f"10.0.0.{n}", 8000) for n in (1, 2, 9))


@pytest.fixture
def server() -> Iterator[Eureka]:
    server = Eureka()
    server.start()
    yield server
    server.close()


@pytest.fixture
def registry(server) -> Iterator[EurekaRegistry]:
    registry = EurekaRegistry(server.url, timeout=20.0)
    yield registry
    registry.close()


@pytest.fixture
def follow(server):
    made = []

    def follow(**options) -> Ear:
        ear = Ear()
        made.append(eureka_app("counter", server.url, every=0.02, timeout=20.0, **options))
        made[-1].listen(ear)
        return ear

    yield follow
    for each in made:
        each.close()


def asked(server, what: str) -> int:
    return server.asked.count(f"GET /eureka/apps{what}")


def test_the_registry_is_read_once_and_changes_follow(server, registry, follow):
    registry.keep("counter", ONE, 60.0)
    registry.keep("billing", OTHER, 60.0)
    ear = follow(deltas=True)
    ear.wait_for(ONE.address)
    registry.keep("counter", TWO, 60.0)
    ear.wait_for(ONE.address, TWO.address)
    server.answer(
        "PUT",
        ["eureka", "apps", "COUNTER", f"counter:{TWO.address}", "status"],
        {"value": ["OUT_OF_SERVICE"]},
        None,
    )
    ear.wait_for(ONE.address)
    registry.drop("billing", OTHER)
    registry.drop("counter", ONE)
    ear.wait_for()
    assert asked(server, "/") == 1
    assert asked(server, "/COUNTER") == 0


def test_a_change_that_was_missed_is_made_up_for(server, registry, follow):
    registry.keep("counter", ONE, 60.0)
    ear = follow(deltas=True)
    ear.wait_for(ONE.address)
    server.note = lambda instance, action: None  # no delta will have it
    registry.keep("counter", TWO, 60.0)
    ear.wait_for(ONE.address, TWO.address)
    assert asked(server, "/") > 1


def test_a_server_without_deltas_is_asked_for_the_application(server, registry, follow):
    server.deltas = False
    registry.keep("counter", ONE, 60.0)
    ear = follow(deltas=True)
    ear.wait_for(ONE.address)
    registry.keep("counter", TWO, 60.0)
    ear.wait_for(ONE.address, TWO.address)
    assert (asked(server, "/"), asked(server, "/delta")) == (1, 1)


def test_only_a_long_application_is_followed_by_deltas(server, registry, follow, monkeypatch):
    registry.keep("counter", ONE, 60.0)
    ear = follow()
    ear.wait_for(ONE.address)
    wait_until(lambda: asked(server, "/COUNTER") > 2)
    assert asked(server, "/delta") == 0
    monkeypatch.setattr(eureka, "_LONG", 100)
    long = follow()
    long.wait_for(ONE.address)
    wait_until(lambda: asked(server, "/delta") > 1)
    registry.keep("counter", TWO, 60.0)
    for each in (ear, long):
        each.wait_for(ONE.address, TWO.address)


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        {},
        {"applications": None},
        {"applications": {"application": [None]}},
        {"applications": {"application": [{"name": "A", "instance": ["x"]}]}},
        {"applications": {"application": [{"name": "A", "instance": [{}]}]}},
        {"applications": {"application": "x"}},
    ],
)
def test_rubbish_is_a_failure_and_no_empty_set(answer):
    for act in (Mirror("A").take, Mirror("A").apply):
        with pytest.raises(OSError, match="cannot be understood"):
            act(answer)


def test_what_is_counted_is_all_applications_by_status():
    mirror = Mirror("A")
    rows = [{"instanceId": f"{n}", "status": "UP" if n % 3 else "DOWN"} for n in range(9)]
    apps = [{"name": "A", "instance": rows[:4]}, {"name": "B", "instance": rows[4:]}]
    mirror.take({"applications": {"application": apps}})
    assert mirror.hashcode() == "DOWN_3_UP_6_"
    assert [row["instanceId"] for row in mirror.rows()] == ["0", "1", "2", "3"]
    gone = {"name": "B", "instance": {**rows[4], "actionType": "DELETED"}}
    delta = {"applications": {"apps__hashcode": "DOWN_3_UP_5_", "application": gone}}
    assert mirror.apply(delta)
    assert mirror.apply(delta)  # it comes again
    delta["applications"]["apps__hashcode"] = "DOWN_3_UP_6_"
    assert not mirror.apply(delta)
