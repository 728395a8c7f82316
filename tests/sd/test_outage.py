"""A real registry is away for a while: calls go on, and when it is back changes arrive again.

For a while of a minute: FALCONKIT_OUTAGE=60.
"""

from __future__ import annotations

import os
import threading
import time

import pytest

from falconkit import Context
from falconkit.sd import Instance, Registrar
from falconkit.sd.etcd import EtcdRegistry, etcd_service
from falconkit.sd.zookeeper import ZookeeperRegistry, zookeeper_service
from falconkit.testing import wait_until
from falconkit.testing.conform_instancer import Ear
from falconkit.transport import http
from tests.sd.test_system import Process

SECONDS = float(os.environ.get("FALCONKIT_OUTAGE", "0"))
TTL = 10.0
CALLS = 100
"""So many are made while it is away, at least."""


class Registered:
    """An instance that serves, and registers itself."""

    def __init__(self, registry, service: str) -> None:
        self.process = Process()
        self.address = self.process.address
        self.registrar = Registrar(registry, service, Instance.parse(self.address), ttl=TTL)
        self.registrar.start()

    def close(self) -> None:
        self.registrar.close()
        self.process.kill()


class Calling:
    """A thread that calls on and on."""

    def __init__(self, endpoint) -> None:
        self.done, self.errors = 0, []
        self._endpoint, self._stop = endpoint, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.002):
            try:
                self._endpoint(Context(), None)
            except Exception as error:
                self.errors.append(error)
            self.done += 1

    def close(self) -> None:
        self._stop.set()
        self._thread.join()


def over_etcd(server, service):
    return etcd_service(service, server.url), lambda: EtcdRegistry(server.url)


def over_zookeeper(server, service):
    hosts = f"127.0.0.1:{server.port}"
    return zookeeper_service(service, hosts), lambda: ZookeeperRegistry(hosts)


@pytest.mark.parametrize(("name", "over"), [("etcd", over_etcd), ("zookeeper", over_zookeeper)])
def test_calls_go_on_while_the_registry_is_away_and_changes_arrive_after(
    name, over, request, monkeypatch
):
    monkeypatch.delenv("FALCONKIT_RUN", raising=False)  # each registers by itself
    server = request.getfixturevalue(name)
    discovery, registry = over(server, "outage")
    ear = Ear()
    discovery.listen(ear)
    instances = [Registered(registry(), "outage") for _ in range(2)]
    service = http.service("outage", sd=discovery)
    calling = None
    try:
        wait_until(lambda: ear.heard and len(ear.heard[-1].instances) == 2, 60)
        calling = Calling(service.get("/", returns=int))
        wait_until(lambda: calling.done > CALLS, 60)
        server.stop()
        wait_until(lambda: ear.heard[-1].failure, 60)
        until, done = time.monotonic() + SECONDS, calling.done
        wait_until(lambda: calling.done > done + CALLS and time.monotonic() > until, SECONDS + 60)
        print(f"{name}: {calling.done - done} calls while it was away", end=", ")
        server.start()
        back = time.monotonic()
        instances.append(Registered(registry(), "outage"))
        wanted = sorted(each.address for each in instances)
        wait_until(lambda: sorted(e.address for e in ear.heard[-1].instances) == wanted, 60)
        wait_until(lambda: not ear.heard[-1].failure, 60)
        print(f"a change has arrived {time.monotonic() - back:.1f} s after its return")
        latest = calling.done
        wait_until(lambda: calling.done > latest + CALLS, 60)
        assert calling.errors == []
    finally:
        if calling is not None:
            calling.close()
        for each in instances:
            each.close()
        service.close()
