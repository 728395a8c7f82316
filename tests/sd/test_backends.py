"""What is particular to DNS, to ZooKeeper, to a file, to Heroku, and to a URL."""

from __future__ import annotations

import builtins
import importlib
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from falconkit.errors import ConfigurationError
from falconkit.sd import Instance, Static, from_file, from_url
from falconkit.sd.dns import dns_hosts, dns_srv
from falconkit.sd.heroku import heroku_peers, heroku_self, heroku_space
from falconkit.sd.instance import Unusable
from falconkit.sd.stop import Stop
from falconkit.sd.zookeeper import ZookeeperRegistry, zookeeper_service
from falconkit.testing import wait_until
from falconkit.testing.conform_instancer import Ear
from tests.sd.benches import QUICK
from tests.sd.servers import Dnsmasq

HERE = Instance("10.0.0.1", 8000)


class Noted(Stop):
    """A `Stop` that notes what it was to wait, and does not wait."""

    def __init__(self):
        super().__init__()
        self.waited = []

    def wait(self, seconds):
        self.waited.append(seconds)
        return False


@pytest.fixture(scope="module")
def dnsmasq():
    server = Dnsmasq()
    server.ttl = 7
    server.records = [
        "--host-record=one.test,127.0.0.1",
        "--host-record=two.test,127.0.0.2,::1",
        "--host-record=three.test,127.0.0.3",
        "--srv-host=_http._tcp.a.test,one.test,8001,0,60",
        "--srv-host=_http._tcp.a.test,two.test,8002,0,40",
        "--srv-host=_http._tcp.a.test,three.test,8003,1,0",
        "--srv-host=_http._tcp.gone.test",
        "--srv-host=_http._tcp.bad.test,missing.test,80,0,1",
        "--srv-host=_http._tcp.zero.test,one.test,0,0,1",
        "--txt-record=text.test,hello",
        *(f"--host-record=many.test,127.0.{n // 250}.{n % 250 + 1}" for n in range(400)),
        "--host-record=web.counter.app.localspace,127.0.0.9",
        "--local=/localspace/",
    ]
    try:
        server.start()
        yield server
    finally:
        server.close()


def look(discovery, rounds=1):
    """Return what the last of some rounds yields, and what was waited for in between."""
    stop = Noted()
    going = discovery._rounds(stop)
    try:
        for _ in range(rounds):
            found = next(going)
    finally:
        going.close()
    return sorted(found, key=str), stop.waited


def options(dnsmasq, **more):
    return {**QUICK, "timeout": 10.0, "port": dnsmasq.port, **more}


def test_srv_has_priorities_weights_and_addresses(dnsmasq):
    found, _ = look(dns_srv("_http._tcp.a.test", **options(dnsmasq)))
    assert [(each.address, each.priority, each.weight) for each in found] == [
        ("127.0.0.1:8001", 0, 60.0),
        ("127.0.0.2:8002", 0, 40.0),
        ("127.0.0.3:8003", 1, 0.0),
        ("[::1]:8002", 0, 40.0),
    ]


def test_srv_may_leave_the_names(dnsmasq):
    found, _ = look(dns_srv("_http._tcp.a.test", resolve=False, **options(dnsmasq)))
    assert {each.host for each in found} == {"one.test", "two.test", "three.test"}


@pytest.mark.parametrize(
    ("at_least", "at_most", "waits"), [(1.0, 60.0, 7.0), (8.0, 60.0, 8.0), (1.0, 5.0, 5.0)]
)
def test_an_answer_is_kept_for_its_ttl_within_bounds(dnsmasq, at_least, at_most, waits):
    how = options(dnsmasq, at_least=at_least, at_most=at_most)
    for discovery in (dns_srv("_http._tcp.a.test", **how), dns_hosts("one.test", 80, **how)):
        assert look(discovery, 2)[1] == [waits]


def test_a_service_that_is_decidedly_away_has_no_instances(dnsmasq):
    for name in ("_http._tcp.gone.test", "_http._tcp.nobody.test", "text.test"):
        assert look(dns_srv(name, **options(dnsmasq)))[0] == []


def test_a_target_without_address_and_a_port_of_zero_are_of_no_use(dnsmasq):
    for name in ("bad", "zero"):
        (found,), _ = look(dns_srv(f"_http._tcp.{name}.test", **options(dnsmasq)))
        assert isinstance(found, Unusable)


def test_hosts_of_each_family(dnsmasq):
    def hosts(family):
        found, _ = look(dns_hosts("two.test", 80, family=family, **options(dnsmasq)))
        return [each.host for each in found]

    assert (hosts("A"), hosts("AAAA")) == (["127.0.0.2"], ["::1"])
    assert sorted(hosts("both")) == ["127.0.0.2", "::1"]


def test_an_answer_too_long_for_udp_is_asked_for_by_tcp(dnsmasq):
    found, _ = look(dns_hosts("many.test", 80, family="A", **options(dnsmasq)))
    assert len(found) == 400


def test_what_the_server_refuses_is_a_failure(dnsmasq):
    with pytest.raises(Exception, match="REFUSED"):
        look(dns_hosts("elsewhere.example", 80, **options(dnsmasq)))


def test_a_private_space_is_found_by_its_names(dnsmasq):
    assert repr(heroku_space("counter", 8000)) == "Discovery('dns web.counter.app.localspace')"
    found, _ = look(dns_hosts("web.counter.app.localspace", 8000, family="A", **options(dnsmasq)))
    assert found == [Instance("127.0.0.9", 8000)]


ENVIRON = {
    "HEROKU_DNS_FORMATION_NAME": "web.counter.app.localspace",
    "HEROKU_DNS_DYNO_NAME": "1.web.counter.app.localspace",
    "HEROKU_PRIVATE_IP": "10.1.2.3",
}


def test_a_dyno_knows_itself_and_its_peers():
    assert heroku_self(8000, environ=ENVIRON) == Instance(
        "10.1.2.3", 8000, id="1.web.counter.app.localspace"
    )
    assert "web.counter.app.localspace" in repr(heroku_peers(8000, environ=ENVIRON))
    for wrong in (
        lambda: heroku_self(8000, environ={}),
        lambda: heroku_peers(8000, environ={}),
        lambda: heroku_space("Counter", 8000),
        lambda: heroku_space("counter.evil", 8000),
        lambda: heroku_space("counter", 8000, process="a.b"),
        lambda: heroku_space("counter", 0),
    ):
        with pytest.raises(ConfigurationError):
            wrong()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: dns_srv("a..b"),
        lambda: dns_srv("x" * 64),
        lambda: dns_srv("a", timeout=0),
        lambda: dns_srv("a", at_least=5, at_most=1),
        lambda: dns_hosts("a", 0),
        lambda: dns_hosts("a", 80, family="B"),
        lambda: from_file("x", every=0),
        lambda: zookeeper_service("a/b"),
        lambda: zookeeper_service("a", prefix="services"),
        lambda: ZookeeperRegistry(prefix="/services/"),
    ],
)
def test_what_cannot_work_is_said_at_once(wrong):
    with pytest.raises(ConfigurationError):
        wrong()


def test_a_file_has_comments_and_options(tmp_path, caplog):
    path = tmp_path / "instances"
    path.write_text(
        "# the counter\n\n10.0.0.2:80 zone=a weight=2.5 priority=1 id=x # second\n"
        "10.0.0.1:80\n10.0.0.3:99999\n10.0.0.4:80 color=red\n10.0.0.5:80 weight=heavy\n"
    )
    ear, discovery = Ear(), from_file(path, every=0.02)
    discovery.listen(ear)
    ear.wait_for("10.0.0.1:80", "10.0.0.2:80")
    assert ear.heard[0].instances[1] == Instance(
        "10.0.0.2", 80, id="x", zone="a", weight=2.5, priority=1
    )
    for named in ("99999", "color=red", "weight=heavy"):
        assert named in caplog.text
    discovery.close()


def test_a_file_that_is_no_text_or_too_long_is_a_failure(tmp_path):
    path = tmp_path / "instances"
    for content in (b"\xff\xfe", b"10.0.0.1:80\n" * 400_000, b"10.0.0.1\n"):
        path.write_bytes(content)
        ear, discovery = Ear(), from_file(path, every=0.02)
        discovery.listen(ear)
        wait_until(lambda: ear.heard)  # noqa: B023
        assert ear.heard[0].failure is not None
        discovery.close()


def test_what_a_dead_leader_left_in_zookeeper_is_taken_over(zookeeper):
    hosts = f"127.0.0.1:{zookeeper.port}"
    dead, alive = (ZookeeperRegistry(hosts, timeout=20.0) for _ in range(2))
    ear, discovery = Ear(), zookeeper_service("taken", hosts, timeout=20.0)
    discovery.listen(ear)
    dead.keep("taken", HERE, 60.0)
    ear.wait_for(HERE.address)
    alive.keep("taken", HERE, 60.0)
    dead.close()  # its session ends, and takes its nodes along
    late, another = Ear(), zookeeper_service("taken", hosts, timeout=20.0)
    another.listen(late)
    late.wait_for(HERE.address)
    alive.drop("taken", HERE)
    alive.drop("taken", HERE)
    ear.wait_for()
    for each in (alive, discovery, another):
        each.close()


def test_a_takeover_in_zookeeper_leaves_no_moment_without_the_instance(zookeeper):
    hosts = f"127.0.0.1:{zookeeper.port}"
    first, second = (ZookeeperRegistry(hosts, timeout=20.0) for _ in range(2))
    ear, discovery = Ear(), zookeeper_service("handed over", hosts, timeout=20.0)
    discovery.listen(ear)
    first.keep("handed over", HERE, 60.0)
    ear.wait_for(HERE.address)
    heard = len(ear.sets())
    for _ in range(20):
        second.keep("handed over", HERE, 60.0)
        first.keep("handed over", HERE, 60.0)
    other = Instance("10.0.0.2", 8000)
    second.keep("handed over", other, 60.0)
    ear.wait_for(HERE.address, other.address)
    assert () not in ear.sets()[heard:]
    for each in (discovery, first, second):
        each.close()


@pytest.fixture
def silent():
    """A server that takes connections, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"127.0.0.1:{server.getsockname()[1]}"


def test_a_zookeeper_that_says_nothing_is_given_up_when_the_time_is_over(silent):
    registry = ZookeeperRegistry(silent, timeout=0.2)
    told = []

    def keep():
        try:
            registry.keep("counter", HERE, ttl=3600.0)
        except ConnectionError as error:
            told.append(str(error))

    keeping = threading.Thread(target=keep, daemon=True)
    keeping.start()
    keeping.join(60)  # not the hour that the session may last
    assert told == [f"no ZooKeeper of {silent} answered in 0.2 s"]


def test_a_zookeeper_that_no_longer_answers_does_not_hold_who_closes(zookeeper):
    registry = ZookeeperRegistry(f"127.0.0.1:{zookeeper.port}", timeout=20.0)
    registry.keep("silenced", HERE, ttl=3600.0)
    registry._client._timeout = 0.2
    closing = threading.Thread(target=registry.close, daemon=True)
    zookeeper.child.send_signal(signal.SIGSTOP)
    try:
        closing.start()
        closing.join(60)
        assert not closing.is_alive()
    finally:
        zookeeper.child.send_signal(signal.SIGCONT)


def test_a_session_that_was_lost_registers_anew(zookeeper):
    hosts = f"127.0.0.1:{zookeeper.port}"
    registry = ZookeeperRegistry(hosts, timeout=20.0)
    registry.keep("lost", HERE, 10.0)
    registry.close()
    registry.keep("lost", HERE, 10.0)
    ear, discovery = Ear(), zookeeper_service("lost", hosts, timeout=20.0)
    discovery.listen(ear)
    ear.wait_for(HERE.address)
    registry.drop("lost", HERE)
    registry.close()
    discovery.close()


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("static://10.0.0.1:80,[::1]:81", "Static('10.0.0.1:80', '[::1]:81')"),
        ("http://counter:8000", "Static('counter:8000')"),
        ("https://counter", "Static('counter:443')"),
        ("file:///etc/counter", "Discovery('file /etc/counter')"),
        ("dns+srv://_http._tcp.counter", "Discovery('dns _http._tcp.counter')"),
        ("dns://counter.internal:80", "Discovery('dns counter.internal')"),
        ("heroku://counter:80?process=api", "Discovery('dns api.counter.app.localspace')"),
        ("consul://counter?tag=blue&tag=v2", "Discovery('consul counter')"),
        ("etcd://counter?at=http://a:1&at=http://b:1", "Discovery('etcd services/counter/')"),
        ("zookeeper://counter?at=a:1&at=b:2", "Discovery('zookeeper /services/counter')"),
        ("eureka://counter?at=http://e:8761/eureka", "Discovery('eureka COUNTER')"),
    ],
)
def test_a_url_names_its_instancer(url, shown):
    assert repr(from_url(url)) == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "counter",
        "ftp://counter",
        "static://",
        "static://10.0.0.1",
        "static://10.0.0.1:80/v1",
        "http://counter:8000/v1",
        "file://relative",
        "dns://counter",
        "dns://counter:0",
        "dns://counter:x",
        "consul://",
        "consul://counter?tga=blue",
        "consul://counter?at=http://a:1&at=http://b:1",
        "http://user:password@counter",
        "http://[::1",
    ],
)
def test_a_url_that_cannot_be_read_is_said_at_once(url):
    with pytest.raises(ConfigurationError):
        from_url(url)


@pytest.mark.parametrize(("module", "package"), [("dns", "dns"), ("zookeeper", "kazoo")])
def test_a_missing_extra_is_named(monkeypatch, module, package):
    real = builtins.__import__

    def absent(name, *args, **kwargs):
        if name.partition(".")[0] == package:
            raise ImportError(name)
        return real(name, *args, **kwargs)

    for name in [each for each in sys.modules if each.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    for name in [each for each in sys.modules if each.startswith(f"falconkit.sd.{module}")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(ConfigurationError, match=rf"pip install 'falconkit\[{module}\]'"):
        importlib.import_module(f"falconkit.sd.{module}")


def test_importing_sd_imports_no_backend():
    code = (
        "import falconkit.sd, sys; "
        "print([m for m in ('dns', 'kazoo', 'urllib3', 'http.client') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_forked_child_looks_for_itself(tmp_path):
    """It begins with what its parent knew, and has a thread of its own."""
    path = tmp_path / "instances"
    path.write_text("10.0.0.1:80\n")
    ear, discovery = Ear(), from_file(path, every=0.02)
    discovery.listen(ear)
    ear.wait_for("10.0.0.1:80")
    come, go = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            mine = Ear()
            discovery.listen(mine)
            assert len(mine.heard) == 1
            os.write(go, b"x")
            mine.wait_for("10.0.0.2:80")
            discovery.close()
            assert threading.active_count() == 1
            code = 0
        finally:
            os._exit(code)
    try:
        assert os.read(come, 1) == b"x"
        path.write_text("10.0.0.2:80\n")
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        ear.wait_for("10.0.0.2:80")
    finally:
        os.close(come)
        os.close(go)
        discovery.close()


def test_static_answers_at_once():
    ear, static = Ear(), Static("b:1", "a:1", "a:1")
    static.listen(ear)
    assert ear.sets() == [("a:1", "b:1")]
    static.forget(ear)
    static.close()
