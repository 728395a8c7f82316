"""One registration a host: in this process, and in real workers with a real registry."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from falconkit.errors import ConfigurationError
from falconkit.events import Deregistered, Events, Registered, RegistrationFailed
from falconkit.sd import Instance
from falconkit.sd.consul import ConsulRegistry
from falconkit.sd.election import Election
from falconkit.sd.etcd import EtcdRegistry, etcd_service
from falconkit.sd.eureka import EurekaRegistry
from falconkit.sd.registrar import Registrar
from falconkit.testing import wait_until
from falconkit.testing.conform_instancer import Ear
from falconkit.testing.peer import Peer, answer, silence

HERE = Instance("10.0.0.1", 8000)


class Registry:
    """Remembers what it was asked, and fails when told to."""

    def __init__(self) -> None:
        self.asked, self.failing = [], False
        self.told = threading.Event()

    def keep(self, service, instance, ttl):
        self.asked.append(("keep", service, instance.address, ttl))
        self.told.set()
        if self.failing:
            raise OSError("away")

    def drop(self, service, instance):
        self.asked.append(("drop", service, instance.address))
        if self.failing:
            raise OSError("away")

    def close(self):
        self.asked.append(("close",))


def registrar(registry, directory, heard=None, **options):
    events = None if heard is None else Events(heard.append)
    return Registrar(registry, "counter", HERE, directory=directory, events=events, **options)


def opened(folder):
    """Return the registrar's threads, and the open files in a folder."""
    fds = [f"/proc/self/fd/{each}" for each in os.listdir("/proc/self/fd")]
    files = [os.readlink(each) for each in fds if os.path.lexists(each)]
    threads = [each.name for each in threading.enumerate()]
    return [each for each in files if each.startswith(str(folder))] + [
        each for each in threads if each == "falconkit-sd-registrar"
    ]


def test_nothing_happens_before_start_and_nothing_is_left_after_close(tmp_path):
    registry, heard = Registry(), []
    one = registrar(registry, tmp_path, heard)
    one.close()
    assert (registry.asked, opened(tmp_path)) == ([], [])
    one = registrar(registry, tmp_path, heard)
    one.start()
    one.start()
    wait_until(lambda: heard)
    assert opened(tmp_path)
    one.close()
    one.close()
    assert registry.asked == [
        ("keep", "counter", "10.0.0.1:8000", 15.0),
        ("drop", "counter", "10.0.0.1:8000"),
        ("close",),
    ]
    assert heard == [Registered("counter", HERE.address), Deregistered("counter", HERE.address)]
    assert opened(tmp_path) == []


def test_of_several_one_renews_another_goes_on_and_the_last_deregisters(tmp_path):
    registries = [Registry() for _ in range(3)]
    workers = [registrar(each, tmp_path, [], ttl=1.0) for each in registries]
    workers[0].start()
    assert registries[0].told.wait(30)
    for worker in workers[1:]:
        worker.start()
    wait_until(lambda: len(registries[0].asked) > 2)
    assert not registries[1].asked
    assert not registries[2].asked
    workers[0].close()
    assert "drop" not in [each[0] for each in registries[0].asked]
    wait_until(lambda: registries[1].asked or registries[2].asked)
    workers[1].close()
    workers[2].close()
    drops = [[each for each in r.asked if each[0] == "drop"] for r in registries]
    assert [len(each) for each in drops] == [0, 0, 1]


def test_workers_that_leave_together_deregister_once(tmp_path):
    for _ in range(20):
        registries = [Registry() for _ in range(4)]
        workers = [registrar(each, tmp_path, []) for each in registries]
        for worker in workers:
            worker.start()
        wait_until(lambda: all(w._election._fds for w in workers))  # noqa: B023
        leaving = [threading.Thread(target=worker.close) for worker in workers]
        for thread in leaving:
            thread.start()
        for thread in leaving:
            thread.join()
        drops = [each for r in registries for each in r.asked if each[0] == "drop"]
        assert len(drops) == 1


def test_a_registry_that_is_away_is_told_of_once_and_found_again(tmp_path):
    registry, heard = Registry(), []
    registry.failing = True
    one = registrar(registry, tmp_path, heard, ttl=1.0)
    one.start()
    wait_until(lambda: len(registry.asked) > 3)
    assert heard == [RegistrationFailed("counter", HERE.address, "OSError: away")]
    registry.failing = False
    wait_until(lambda: len(heard) == 2)
    assert heard[1] == Registered("counter", HERE.address)
    one.close()


def test_a_registry_that_is_away_at_the_end_stops_nobody(tmp_path, caplog):
    registry, heard = Registry(), []
    one = registrar(registry, tmp_path, heard)
    one.start()
    wait_until(lambda: heard)
    registry.failing = True
    one.close()
    assert "the registry forgets it in 15 s" in caplog.text
    assert registry.asked[-1] == ("close",)


@pytest.mark.parametrize("kept", [0, 1])
@pytest.mark.parametrize("kind", [ConsulRegistry, EtcdRegistry, EurekaRegistry])
def test_a_registry_that_hangs_is_not_waited_for_at_the_end(kind, kept, tmp_path):
    well = answer(200, b"{}")
    with Peer(*[well] * kept, silence(), *[well] * 4) as peer:
        heard = []
        one = registrar(kind(peer.url, timeout=600.0), tmp_path, heard, ttl=1)
        one.start()
        wait_until(lambda: len(peer.requests) == kept + 1)
        one.close()
        wait_until(lambda: not opened(tmp_path))
        assert heard[-1] == Deregistered("counter", HERE.address)
        asked = [(each.method, each.target) for each in peer.requests]
        assert asked[kept + 1] != asked[kept]  # what was broken off is not asked again


def test_a_child_keeps_no_lock_of_its_parent(tmp_path):
    election, other = (Election("x", directory=tmp_path) for _ in range(2))
    assert election.join()
    assert election.leads()
    come, go = os.pipe()
    child = os.fork()
    if not child:
        os.close(go)
        os.read(come, 1)  # lives on while its parent leaves
        os._exit(0)
    os.close(come)
    try:
        assert other.join()
        assert not other.leads()
        election.leave(lambda: pytest.fail("there is another"))
        assert other.leads()
        last = []
        other.leave(lambda: last.append(True))
        assert last == [True]
    finally:
        os.close(go)
        os.waitpid(child, 0)


def test_nobody_joins_while_the_last_one_deregisters(tmp_path):
    election, other = (Election("x", directory=tmp_path) for _ in range(2))
    assert election.join()
    election.leave(lambda: joined.append(other.join())) if (joined := []) is not None else None
    assert joined == [False]
    assert other.join()
    other.leave(lambda: None)


def test_elections_of_two_names_do_not_meet(tmp_path):
    one, other = Election("x", directory=tmp_path), Election("y", directory=tmp_path)
    for election in (one, other):
        assert election.join()
        assert election.leads()
        election.leave(lambda: None)


@pytest.mark.parametrize("ttl", [0, -1, 1e9, float("nan")])
def test_what_cannot_work_is_said_at_once(ttl):
    with pytest.raises(ConfigurationError):
        Registrar(Registry(), "counter", HERE, ttl=ttl)


WORKER = """
import os, signal, sys
from falconkit.sd import Instance
from falconkit.sd.etcd import EtcdRegistry
from falconkit.sd.registrar import Registrar

url, directory, service = sys.argv[1:]
here = Instance("10.0.0.1", 8000, id=str(os.getpid()))
registrar = Registrar(EtcdRegistry(url, timeout=10), service, here, ttl=6.0, directory=directory)
registrar.start()
print("started", flush=True)
sys.stdin.read()
registrar.close()
"""


class Workers:
    def __init__(self, count: int, url: str, directory: Path, service: str) -> None:
        argv = [sys.executable, "-c", WORKER, url, str(directory), service]
        pipe = subprocess.PIPE
        self.all = [subprocess.Popen(argv, stdin=pipe, stdout=pipe) for _ in range(count)]
        for each in self.all:
            assert each.stdout.readline() == b"started\n"

    def kill(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        (killed,) = [each for each in self.all if each.pid == pid]
        killed.wait(60)
        self.all.remove(killed)
        self._free(killed)

    def leave(self) -> None:
        for each in self.all:
            each.stdin.close()
        for each in self.all:
            assert each.wait(60) == 0
            each.stdout.close()

    def end(self) -> None:
        for each in self.all:
            each.kill()
            each.wait(60)
            self._free(each)

    def _free(self, process: subprocess.Popen) -> None:
        process.stdin.close()
        process.stdout.close()


def test_workers_of_a_host_register_once_and_survive_their_leader(etcd, tmp_path):
    ear, discovery = Ear(), etcd_service("workers", etcd.url, timeout=10.0)
    discovery.listen(ear)
    workers = Workers(3, etcd.url, tmp_path, "workers")
    try:
        wait_until(lambda: ear.heard and ear.heard[-1].instances, 60)
        leaders = []
        for _ in range(2):
            (there,) = ear.heard[-1].instances
            leaders.append(int(there.id))
            workers.kill(leaders[-1])
            wait_until(
                lambda: [int(each.id) for each in ear.heard[-1].instances] != [leaders[-1]], 60
            )
        # At no time was there no instance, though two leaders were killed.
        assert [len(each.instances) for each in ear.heard if each.instances] == [1, 1, 1]
        assert () not in [each.instances for each in ear.heard[1:]]
        workers.leave()
        wait_until(lambda: not ear.heard[-1].instances, 60)
    finally:
        workers.end()
        discovery.close()


def test_what_somebody_removed_is_registered_again(etcd):
    ear, discovery = Ear(), etcd_service("removed", etcd.url, timeout=10.0)
    discovery.listen(ear)
    mine, other = (EtcdRegistry(etcd.url, timeout=10.0) for _ in range(2))
    mine.keep("removed", HERE, 60.0)
    ear.wait_for(HERE.address)
    other.drop("removed", HERE)
    ear.wait_for()
    mine.keep("removed", HERE, 60.0)
    ear.wait_for(HERE.address)
    mine.drop("removed", HERE)
    ear.wait_for()
    for each in (mine, other, discovery):
        each.close()
