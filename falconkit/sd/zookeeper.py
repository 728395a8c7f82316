"""Instances in ZooKeeper: each an ephemeral node under ``<prefix>/<service>``."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from falconkit.errors import ConfigurationError
from falconkit.sd.discovery import Discovery, Entries
from falconkit.sd.instance import Instance, Unusable
from falconkit.sd.record import dump, load
from falconkit.sd.stop import Stop
from falconkit.sd.zookeeper_client import ZookeeperClient, kazoo

HOSTS = "127.0.0.1:2181"
PREFIX = "/services"
_LOOK_AGAIN = 60.0
"""Seconds without news after which all is read anew: a watch is a message, and may get lost."""


def zookeeper_service(
    service: str,
    hosts: str = HOSTS,
    *,
    prefix: str = PREFIX,
    session: float = 10.0,
    timeout: float = 2.0,
    most: int = 10_000,
) -> Discovery:
    """Return an `Instancer` over the children of ``<prefix>/<service>``.

    A connection that is lost counts as a failure at once, and each try after it has
    a session of its own: no watch is relied on that might have gone with the last.

    >>> zookeeper_service("counter")
    Discovery('zookeeper /services/counter')

    Args:
        service: The service.
        hosts: ZooKeeper's servers, ``host:port`` with commas.
        prefix: The path above the service's.
        session: Seconds after which ZooKeeper gives the session up.
        timeout: Seconds to connect, and to be answered.
        most: How many instances there may be.

    Raises:
        ConfigurationError: A value cannot be used.
    """
    path = _path(prefix, service)

    def rounds(stop: Stop) -> Iterator[Entries]:
        client = ZookeeperClient(hosts, session, timeout)
        try:
            watch = _Watch(client, path, timeout)
            with stop.waking(watch.changed.set):
                while not stop:
                    yield watch.read(most)
                    watch.changed.wait(_LOOK_AGAIN)
        finally:
            client.close()

    return Discovery(rounds, name=f"zookeeper {path}", most=most)


class ZookeeperRegistry:
    """Registers in ZooKeeper, by an ephemeral node, where `zookeeper_service` finds it.

    The time to live is the session's: ZooKeeper removes the node when it is over.

    >>> ZookeeperRegistry("127.0.0.1:2181")
    ZookeeperRegistry('/services')

    Args:
        hosts: ZooKeeper's servers, ``host:port`` with commas.
        prefix: The path above the services'.
        timeout: Seconds to connect, and to be answered.

    Raises:
        ConfigurationError: A value cannot be used.
    """

    def __init__(self, hosts: str = HOSTS, *, prefix: str = PREFIX, timeout: float = 2.0) -> None:
        _path(prefix, "x")
        self._hosts, self._prefix, self._timeout = hosts, prefix, timeout
        self._client: ZookeeperClient | None = None

    def keep(self, service: str, instance: Instance, ttl: float) -> None:
        """See `Registry.keep`."""
        client = self._connected(ttl)
        node = f"{_path(self._prefix, service)}/{instance.address}"
        found = client.exists_async(node).get(timeout=self._timeout)
        mine, _ = client.client_id
        if found is not None and found.ephemeralOwner == mine:
            return
        if found is not None:
            self._take_over(client, node, instance)
            return
        client.create_async(node, dump(instance), ephemeral=True, makepath=True).get(
            timeout=self._timeout
        )

    def drop(self, service: str, instance: Instance) -> None:
        """See `Registry.drop`."""
        client = self._connected(10.0)
        self._delete(client, f"{_path(self._prefix, service)}/{instance.address}")

    def close(self) -> None:
        """See `Registry.close`."""
        client, self._client = self._client, None
        if client is not None:
            client.close()

    def _connected(self, ttl: float) -> Any:
        if self._client is not None and not self._client.connected:
            self.close()
        if self._client is None:
            self._client = ZookeeperClient(self._hosts, ttl, self._timeout)
        return self._client.asked

    def _take_over(self, client: Any, node: str, instance: Instance) -> None:
        # From a leader that is gone, whose session would take it along; in one step, so that
        # nobody sees the service without it.
        both = client.transaction()
        both.delete(node)
        both.create(node, dump(instance), ephemeral=True)
        for result in both.commit_async().get(timeout=self._timeout):
            if isinstance(result, Exception):
                raise result

    def _delete(self, client: Any, node: str) -> None:
        with suppress(kazoo.exceptions.NoNodeError):
            client.delete_async(node).get(timeout=self._timeout)

    def __repr__(self) -> str:
        return f"ZookeeperRegistry({self._prefix!r})"


class _Watch:
    """Reads a node's children, and notes when they have changed."""

    def __init__(self, client: ZookeeperClient, path: str, timeout: float) -> None:
        self.changed = threading.Event()
        self._client, self._path, self._timeout = client, path, timeout
        self._known: dict[str, Instance | Unusable] = {}
        client.asked.add_listener(lambda state: self.changed.set())

    def read(self, most: int) -> Entries:
        """Return the instances of now; `changed` is set when that is over.

        Raises:
            ConnectionError: The connection is lost.
        """
        self.changed.clear()
        if not self._client.connected:
            raise ConnectionError("the connection to ZooKeeper is lost")
        names = self._children()
        for gone in self._known.keys() - set(names):
            del self._known[gone]
        # One more than is taken, so that whoever counts them sees that they are too many.
        for name in names[: most + 1]:
            if name not in self._known:
                self._known[name] = self._data(name)
        return list(self._known.values())

    def _children(self) -> list[str]:
        while True:
            try:
                asked = self._client.asked.get_children_async(self._path, watch=self._note)
                return sorted(asked.get(timeout=self._timeout))
            except kazoo.exceptions.NoNodeError:
                asked = self._client.asked.exists_async(self._path, watch=self._note)
                if asked.get(timeout=self._timeout) is None:
                    return []

    def _data(self, name: str) -> Instance | Unusable:
        def again(event: Any) -> None:
            self._known.pop(name, None)
            self.changed.set()

        try:
            asked = self._client.asked.get_async(f"{self._path}/{name}", watch=again)
            raw, _ = asked.get(timeout=self._timeout)
            return load(raw)
        except kazoo.exceptions.NoNodeError:
            return Unusable(name[:80], "it went while it was read")

    def _note(self, event: Any) -> None:
        self.changed.set()


def _path(prefix: str, service: str) -> str:
    if not service or "/" in service or not service.isprintable():
        raise ConfigurationError(f"a service's name has no '/', got {service!r}")
    if not prefix.startswith("/") or prefix.endswith("/"):
        raise ConfigurationError(f"a prefix is as in '/services', got {prefix!r}")
    return f"{prefix}/{service}"
