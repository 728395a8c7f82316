from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.sd.servers import Etcd, Server, ZooKeeper


@pytest.fixture(scope="session")
def etcd() -> Iterator[Etcd]:
    yield from _started(Etcd())


@pytest.fixture(scope="session")
def zookeeper() -> Iterator[ZooKeeper]:
    yield from _started(ZooKeeper())


def _started(server: Server) -> Iterator[Server]:
    try:
        server.start()
        yield server
    finally:
        server.close()
