from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sd.servers import ConsulAgent, Etcd, Server, SpringEureka, ZooKeeper


@pytest.fixture(scope="session")
def etcd() -> Iterator[Etcd]:
    yield from _started(Etcd())


@pytest.fixture(scope="session")
def zookeeper() -> Iterator[ZooKeeper]:
    yield from _started(ZooKeeper())


@pytest.fixture(scope="session")
def consul_agent() -> Iterator[ConsulAgent]:
    yield from _started(ConsulAgent())


@pytest.fixture(scope="session")
def eureka() -> Iterator[SpringEureka]:
    yield from _started(SpringEureka())


def _started(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.close()
