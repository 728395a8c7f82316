"""Benches for the laws of instancers: each backend over its real registry."""

from __future__ import annotations

import contextlib
import itertools
import threading
from pathlib import Path

import kazoo.exceptions

from falconkit.sd import Instance, Instancer, checked, from_file
from falconkit.sd.consul import ConsulRegistry, consul_service
from falconkit.sd.dns import dns_hosts, dns_srv
from falconkit.sd.etcd import EtcdRegistry, etcd_service
from falconkit.sd.eureka import EurekaRegistry, eureka_app
from falconkit.sd.zookeeper import ZookeeperRegistry, zookeeper_service
from falconkit.testing import wait_until
from tests.sd.servers import ConsulAgent, Dnsmasq, Etcd, Server, Silent, SpringEureka, ZooKeeper
from tests.sd.standins import Consul, Eureka

_names = itertools.count()
QUICK = {"timeout": 1.0, "at_least": 0.02, "at_most": 0.5, "nameserver": "127.0.0.1"}


class Hushed:
    """Over a bench: its server's port is another's, who says nothing."""

    def __init__(self, bench: object) -> None:
        self.bench, self.silent = bench, None
        self.make, self.put = bench.make, bench.put
        self.stop, self.start = bench.stop, bench.start

    def hush(self) -> threading.Event:
        self.bench.stop()
        self.silent = Silent(self.bench.server.port)
        return self.silent.came

    def close(self) -> None:
        if self.silent is not None:
            self.silent.close()
        self.bench.close()


class InFile:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "instances"
        self.kept = ""
        self.put()

    def make(self) -> Instancer:
        return from_file(self.path, every=0.02)

    def put(self, *addresses: str) -> None:
        new = self.path.with_suffix(".new")
        new.write_text("".join(f"{each}\n" for each in addresses))
        new.rename(self.path)

    def stop(self) -> None:
        self.kept = self.path.read_text()
        self.path.unlink()

    def start(self) -> None:
        self.put(*self.kept.split())

    def close(self) -> None:
        pass


class InSrv:
    NAME = "_http._tcp.counter.test"

    def __init__(self) -> None:
        self.server = Dnsmasq()
        with contextlib.ExitStack() as failed:
            failed.callback(self.server.close)
            self.server.start()
            failed.pop_all()

    def make(self) -> Instancer:
        return dns_srv(self.NAME, port=self.server.port, **QUICK)

    def put(self, *addresses: str) -> None:
        hosts = [each.partition(":")[0] for each in addresses]
        self.server.put(
            *(f"--host-record=on{host[-1]}.test,{host}" for host in hosts),
            *(f"--srv-host={self.NAME},on{host[-1]}.test,8000,0,1" for host in hosts),
        )

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server.start()

    def close(self) -> None:
        self.server.close()


class InHosts(InSrv):
    NAME = "counter.test"

    def make(self) -> Instancer:
        return dns_hosts(self.NAME, 8000, port=self.server.port, **QUICK)

    def put(self, *addresses: str) -> None:
        hosts = [each.partition(":")[0] for each in addresses]
        self.server.put(*(f"--host-record={self.NAME},{host}" for host in hosts))


class Registered:
    """A registry of instances that come and go by its own `Registry`."""

    def __init__(self, server: Server, registry: object) -> None:
        self.server, self.registry = server, registry
        self.service = f"counter{next(_names)}"
        self.there: set[str] = set()

    def put(self, *addresses: str) -> None:
        for gone in sorted(self.there - set(addresses)):
            self.registry.drop(self.service, Instance.parse(gone))
        for each in addresses:
            self.registry.keep(self.service, Instance.parse(each), 60.0)
        self.there = set(addresses)

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server.start()

    def close(self) -> None:
        if self.server.child is None:
            self.server.start()
        self.registry.close()


class InEtcd(Registered):
    def __init__(self, server: Etcd) -> None:
        super().__init__(server, EtcdRegistry(server.url, timeout=10.0))

    def make(self) -> Instancer:
        return etcd_service(self.service, self.server.url, timeout=10.0)


class InZookeeper(Registered):
    def __init__(self, server: ZooKeeper) -> None:
        self.hosts = f"127.0.0.1:{server.port}"
        super().__init__(server, ZookeeperRegistry(self.hosts, timeout=10.0))

    def make(self) -> Instancer:
        return zookeeper_service(self.service, self.hosts, timeout=2.0)

    def put(self, *addresses: str) -> None:
        # The session survives a restart of the server, but takes a moment to notice it.
        wait_until(lambda: self._put(*addresses), 60.0)

    def _put(self, *addresses: str) -> bool:
        try:
            super().put(*addresses)
        except kazoo.exceptions.KazooException as error:
            raise ConnectionError(str(error)) from error
        return True


class InConsul(Registered):
    def __init__(self) -> None:
        server = Consul()
        super().__init__(server, ConsulRegistry(server.url, timeout=10.0))
        server.start()

    def make(self) -> Instancer:
        return consul_service(self.service, self.server.url, timeout=10.0)

    def close(self) -> None:
        self.registry.close()
        self.server.close()


class InConsulAgent(Registered):
    def __init__(self, server: ConsulAgent) -> None:
        super().__init__(server, ConsulRegistry(server.url, timeout=20.0))

    def start(self) -> None:
        # An agent that was killed may have kept a check and not that it was passed: it knows
        # again by the next heartbeat, which is ours to send.
        self.server.start()
        for each in sorted(self.there):
            wait_until(lambda: self._beat(Instance.parse(each)), 60.0)  # noqa: B023

    def _beat(self, instance: Instance) -> bool:
        self.registry.keep(self.service, instance, 60.0)
        return True

    def make(self) -> Instancer:
        return consul_service(self.service, self.server.url, timeout=20.0)


class InEureka(InConsul):
    def __init__(self, *, deltas: bool) -> None:
        self.deltas = deltas
        server = Eureka()
        Registered.__init__(self, server, EurekaRegistry(server.url, timeout=10.0))
        server.start()

    def make(self) -> Instancer:
        return eureka_app(
            self.service, self.server.url, deltas=self.deltas, every=0.02, timeout=10.0
        )


class InChecked:
    """The file's instances, of which every one is well."""

    def __init__(self, folder: Path) -> None:
        self.inner, self.folder = InFile(folder), folder
        self.put, self.stop, self.start = self.inner.put, self.inner.stop, self.inner.start

    def make(self) -> Instancer:
        return checked(
            self.inner.make(),
            lambda instance: None,
            service="counter",
            every=0.02,
            directory=self.folder / "run",
        )

    def close(self) -> None:
        pass


class InSpringEureka(Registered):
    def __init__(self, server: SpringEureka, *, deltas: bool) -> None:
        self.deltas = deltas
        super().__init__(server, EurekaRegistry(server.url, timeout=20.0))

    def make(self) -> Instancer:
        return eureka_app(
            self.service, self.server.url, deltas=self.deltas, every=0.05, timeout=20.0
        )
