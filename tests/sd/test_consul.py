"""Against a stand-in of the agent's documented API: its server is not to be had as a package."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from falconkit.errors import ConfigurationError
from falconkit.sd import Instance
from falconkit.sd.consul import ConsulRegistry, consul_service
from falconkit.sd.eureka import EurekaRegistry, eureka_app
from falconkit.sd.instance import Unusable
from falconkit.sd.stop import Stop
from falconkit.testing import wait_until
from falconkit.testing.conform_instancer import Ear
from falconkit.testing.peer import Peer, answer
from tests.sd.standins import Consul, Eureka

HERE = Instance("10.0.0.1", 8000, zone="a", weight=3.0, tags=("blue", "v2"))


@pytest.fixture
def consul() -> Iterator[Consul]:
    server = Consul()
    server.start()
    yield server
    server.close()


def listen(discovery):
    ear = Ear()
    discovery.listen(ear)
    return ear


def test_all_tags_have_to_be_there(consul):
    registry = ConsulRegistry(consul.url, timeout=10.0)
    registry.keep("counter", HERE, 15.0)
    registry.keep("counter", Instance("10.0.0.2", 8000, tags=("blue",)), 15.0)
    both = consul_service("counter", consul.url, tags=["blue"], timeout=10.0)
    one = consul_service("counter", consul.url, tags=["blue", "v2"], timeout=10.0)
    listen(both).wait_for("10.0.0.1:8000", "10.0.0.2:8000")
    ear = listen(one)
    ear.wait_for("10.0.0.1:8000")
    (found,) = ear.heard[-1].instances
    assert (found.zone, found.weight, found.tags) == ("a", 3.0, ("blue", "v2"))
    for each in (both, one, registry):
        each.close()


def test_passing_only_or_marked(consul):
    registry = ConsulRegistry(consul.url, timeout=10.0)
    registry.keep("counter", HERE, 15.0)
    registry.keep("counter", Instance("10.0.0.2", 8000), 15.0)
    passing = consul_service("counter", consul.url, timeout=10.0)
    marked = consul_service("counter", consul.url, passing=False, timeout=10.0)
    ears = [listen(passing), listen(marked)]
    for ear in ears:
        ear.wait_for("10.0.0.1:8000", "10.0.0.2:8000")
    with consul.changed:
        consul.critical.add("counter-10.0.0.2:8000")
        consul.bump()
    ears[0].wait_for("10.0.0.1:8000")
    wait_until(lambda: [each.healthy for each in ears[1].heard[-1].instances] == [True, False])
    for each in (passing, marked, registry):
        each.close()


def test_an_index_that_goes_back_begins_anew(consul):
    consul.index = 100
    discovery = consul_service("counter", consul.url, timeout=10.0)
    ear = listen(discovery)
    ear.wait_for()
    registry = ConsulRegistry(consul.url, timeout=10.0)
    with consul.changed:
        consul.index = 5
        consul.changed.notify_all()
    registry.keep("counter", HERE, 15.0)
    ear.wait_for("10.0.0.1:8000")
    asked = [each for each in consul.asked if each.startswith("GET")]
    assert "index=0" in asked[0]
    assert "index=100" in asked[1]
    assert "index=0" in asked[2]
    discovery.close()
    registry.close()


def test_an_answer_without_an_index_is_not_asked_for_in_a_loop():
    waited = []

    class Noted(Stop):
        def wait(self, seconds):
            waited.append(seconds)
            return False

    with Peer(answer(200, b"[]"), answer(200, b"[]")) as peer:
        rounds = consul_service("counter", peer.url)._rounds(Noted())
        assert [next(rounds), next(rounds)] == [[], []]
        rounds.close()
    assert waited == [1.0]


def test_an_agent_that_forgot_is_told_again(consul):
    registry = ConsulRegistry(consul.url, timeout=10.0)
    registry.keep("counter", HERE, 15.0)
    registry.keep("counter", HERE, 15.0)
    assert [each.split("/")[-2] for each in consul.asked].count("service") == 1
    consul.services.clear()
    registry.keep("counter", HERE, 15.0)
    assert list(consul.services) == ["counter-10.0.0.1:8000"]
    check = consul.services["counter-10.0.0.1:8000"]["Check"]
    assert check == {
        "TTL": "15s",
        "Status": "passing",
        "DeregisterCriticalServiceAfter": "150s",
    }
    registry.drop("counter", HERE)
    registry.drop("counter", HERE)
    assert not consul.services
    registry.close()


@pytest.mark.parametrize(
    ("row", "address"),
    [
        ('{"Service":{"Address":"","Port":80},"Node":{"Address":"10.1.1.1"}}', "10.1.1.1:80"),
        ('{"Service":{"Address":"a\\nb","Port":80},"Node":{"Address":"10.1.1.1"}}', None),
        ('{"Service":{"Port":0},"Node":{"Address":"10.1.1.1"}}', None),
        ('{"Service":{"Port":80},"Node":{}}', None),
        ('{"Service":[],"Node":{}}', None),
        ("1", None),
    ],
)
def test_rows_of_any_kind(row, address):
    with Peer(answer(200, f"[{row}]".encode())) as peer:
        rounds = consul_service("counter", peer.url)._rounds(Stop())
        (found,) = next(rounds)
        rounds.close()
    if address is None:
        assert isinstance(found, Unusable)
    else:
        assert found.address == address


@pytest.mark.parametrize(
    ("make", "reply"),
    [
        (consul_service, answer(500, b"rpc error")),
        (consul_service, answer(403, b"ACL not found")),
        (consul_service, answer(200, b"{}")),
        (consul_service, answer(200, b"[" * 100_000)),
        (consul_service, b"rubbish\r\n\r\n"),
        (eureka_app, answer(500)),
        (eureka_app, answer(200, b"{}")),
        (eureka_app, answer(200, b'{"application":{"instance":[1]}}')),
    ],
)
def test_a_bad_answer_is_a_failure(make, reply):
    with Peer(*[reply] * 50) as peer:
        discovery = make("counter", peer.url)
        ear = listen(discovery)
        wait_until(lambda: ear.heard)
        assert ear.heard[0].failure is not None
        discovery.close()


def test_eureka_tells_what_is_up_and_where():
    server = Eureka()
    server.start()
    registry = EurekaRegistry(server.url, timeout=10.0)
    for n, status in enumerate(("UP", "DOWN", "OUT_OF_SERVICE", "UP"), 1):
        registry.keep("counter", Instance(f"10.0.0.{n}", 8000, zone="z"), 15.0)
        server.apps["COUNTER"][f"counter:10.0.0.{n}:8000"]["status"] = status
    secure = server.apps["COUNTER"]["counter:10.0.0.4:8000"]
    secure["port"]["@enabled"] = "false"
    secure["securePort"] = {"$": 8443, "@enabled": "true"}
    discovery = eureka_app("counter", server.url, every=0.02, timeout=10.0)
    ear = listen(discovery)
    ear.wait_for("10.0.0.1:8000", "10.0.0.4:8443")
    assert ear.heard[-1].instances[0].zone == "z"
    renewals = len(server.asked)
    registry.keep("counter", Instance("10.0.0.1", 8000), 15.0)
    assert any(each.startswith("PUT") for each in server.asked[renewals:])
    assert not any(each.startswith("POST") for each in server.asked[renewals:])
    for each in (discovery, registry, server):
        each.close()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: consul_service(""),
        lambda: consul_service("a/b"),
        lambda: consul_service("a", "consul"),
        lambda: consul_service("a", most=0),
        lambda: eureka_app(""),
        lambda: eureka_app("a", every=0),
        lambda: ConsulRegistry("ftp://x"),
        lambda: EurekaRegistry([]),
    ],
)
def test_what_cannot_work_is_said_at_once(wrong):
    with pytest.raises(ConfigurationError):
        wrong()
