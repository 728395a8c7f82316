from __future__ import annotations

import base64
import threading

import pytest

from falconkit.errors import ConfigurationError
from falconkit.sd import Instance
from falconkit.sd.etcd import EtcdRegistry, etcd_service
from falconkit.sd.stop import Stop
from falconkit.sd.wire import Wire
from falconkit.testing import wait_until
from falconkit.testing.conform_instancer import Ear
from falconkit.testing.peer import Peer, answer

HERE = Instance("10.0.0.1", 8000)


def b64(text):
    return base64.b64encode(text.encode()).decode()


def test_a_prefix_ends_where_a_name_does(etcd):
    registry = EtcdRegistry(etcd.url, timeout=10.0)
    registry.keep("foobar", HERE, 60.0)
    registry.keep("foo", Instance("10.0.0.2", 8000), 60.0)
    ear, discovery = Ear(), etcd_service("foo", etcd.url, timeout=10.0)
    discovery.listen(ear)
    ear.wait_for("10.0.0.2:8000")
    registry.drop("foobar", HERE)
    registry.close()
    discovery.close()
    assert len(ear.heard) == 1


def test_a_lease_that_ends_takes_the_instance_along(etcd):
    ear, discovery = Ear(), etcd_service("leased", etcd.url, timeout=10.0)
    discovery.listen(ear)
    registry = EtcdRegistry(etcd.url, timeout=10.0)
    registry.keep("leased", HERE, 1.0)
    ear.wait_for(HERE.address)
    registry.close()  # as a process that died: nobody renews
    ear.wait_for()
    discovery.close()


def test_a_compacted_revision_is_read_anew(etcd):
    """Between its reading and its watch the revision is compacted: no failure, nothing missed."""
    wire = Wire(etcd.url, timeout=10.0)
    put = {"key": b64("services/compacted/10.0.0.9:80"), "value": b64("10.0.0.9:80")}

    rounds = etcd_service("compacted", etcd.url, timeout=10.0)._rounds(Stop())
    assert list(next(rounds)) == []
    for _ in range(5):
        revision = wire.ask("POST", "/v3/kv/put", put).json()["header"]["revision"]
    wire.ask("POST", "/v3/kv/compaction", {"revision": revision}).json()
    assert [each.address for each in next(rounds)] == ["10.0.0.9:80"]
    rounds.close()
    wire.ask("POST", "/v3/kv/deleterange", {"key": put["key"]})
    wire.close()


def test_a_bare_address_and_rubbish_may_stand_beside_ours(etcd):
    wire = Wire(etcd.url, timeout=10.0)
    for name, value in (("a", "10.0.0.9:80"), ("b", "rubbish"), ("c", '{"host":"x"}')):
        key = b64(f"services/mixed/{name}")
        wire.ask("POST", "/v3/kv/put", {"key": key, "value": b64(value)}).json()
    ear, discovery = Ear(), etcd_service("mixed", etcd.url, timeout=10.0)
    discovery.listen(ear)
    ear.wait_for("10.0.0.9:80")
    discovery.close()
    wire.close()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"null", b'{"kvs":[1]}', b'{"kvs":[{}],"header":{}}', b'{"header":1}'],
)
def test_an_answer_that_cannot_be_understood_is_a_failure(body):
    with Peer(*[answer(200, body) for _ in range(3)]) as peer:
        ear, discovery = Ear(), etcd_service("x", peer.url)
        discovery.listen(ear)
        wait_until(lambda: ear.heard)
        assert ear.heard[0].failure is not None
        discovery.close()


def test_a_second_server_is_asked_when_the_first_is_away(etcd):
    registry = EtcdRegistry(["http://127.0.0.1:1", etcd.url], timeout=10.0)
    with pytest.raises(OSError, match=r"127\.0\.0\.1:1:"):
        registry.keep("second", HERE, 60.0)
    registry.keep("second", HERE, 60.0)
    registry.drop("second", HERE)
    registry.close()


def test_a_wait_for_an_answer_is_broken():
    waiting = threading.Event()

    def hold(peer, connection):
        waiting.set()
        peer.closed.wait(30)

    with Peer(hold) as peer:
        discovery = etcd_service("x", peer.url, timeout=30.0)
        discovery.listen(Ear())
        assert waiting.wait(30)
        discovery.close()
        assert not [each for each in threading.enumerate() if "falconkit-sd-etcd" in each.name]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: etcd_service(""),
        lambda: etcd_service("a/b"),
        lambda: etcd_service("a", prefix="x/"),
        lambda: etcd_service("a", "etcd:2379"),
        lambda: etcd_service("a", "http://user:password@etcd:2379"),
        lambda: etcd_service("a", []),
        lambda: etcd_service("a", timeout=0),
        lambda: etcd_service("a", most=0),
        lambda: EtcdRegistry("http://etcd:99999"),
    ],
)
def test_what_cannot_work_is_said_at_once(wrong):
    with pytest.raises(ConfigurationError):
        wrong()
