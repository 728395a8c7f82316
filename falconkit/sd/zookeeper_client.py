"""A ZooKeeper client whose waits have an end that its user sets."""

from __future__ import annotations

import logging
import socket
import threading
from contextlib import suppress
from typing import Any

from falconkit.extras import need

kazoo = need("zookeeper", "kazoo.client", "kazoo.exceptions", "kazoo.handlers.threading")


class ZookeeperClient:
    """A client of kazoo's that is connected, or is not made; and that closes in time.

    kazoo waits for a server as long as the session may live, also in order to close: a
    server that takes connections and says nothing would hold whoever closes for minutes.

    Args:
        hosts: ZooKeeper's servers, ``host:port`` with commas.
        session: Seconds after which ZooKeeper gives the session up.
        timeout: Seconds to connect, and to say farewell.

    Attributes:
        asked: kazoo's own client.

    Raises:
        ConnectionError: No server answered in time.
    """

    def __init__(self, hosts: str, session: float, timeout: float) -> None:
        # No handler of kazoo's would say more than the failure that we tell; it logs each try.
        logger = logging.getLogger("falconkit.sd.kazoo")
        logger.setLevel(logging.CRITICAL)
        self._timeout = timeout
        self._sockets = _Sockets(timeout)
        self.asked: Any = kazoo.client.KazooClient(
            hosts=hosts, timeout=session, handler=self._sockets, logger=logger
        )
        try:
            self.asked.start_async().wait(timeout)
            if not self.connected:
                raise ConnectionError(f"no ZooKeeper of {hosts} answered in {timeout:g} s")
        except BaseException:
            self.close()
            raise

    @property
    def connected(self) -> bool:
        """Whether there is a connection; kazoo's ``state`` says so a moment later."""
        return bool(self.asked.connected)

    def close(self) -> None:
        """End the session, and tell the server so if it listens within the timeout."""
        if not self.connected:
            self._sockets.cut()
        late = threading.Timer(self._timeout, self._sockets.cut)
        late.start()
        try:
            self.asked.stop()
            self.asked.close()
        finally:
            late.cancel()
            late.join()


class _Sockets(kazoo.handlers.threading.SequentialThreadingHandler):  # type: ignore[misc, name-defined]
    """Makes kazoo's connections, and can cut the one that it waits for."""

    def __init__(self, timeout: float) -> None:
        super().__init__()
        self._longest = timeout
        self._latest: Any = None
        self._cut = False

    def create_connection(self, *args: Any, **options: Any) -> Any:
        options["timeout"] = min(self._longest, options["timeout"])
        self._latest = super().create_connection(*args, **options)
        if self._cut:
            self.cut()
        return self._latest

    def cut(self) -> None:
        self._cut = True
        if self._latest is not None:
            with suppress(OSError):
                self._latest.shutdown(socket.SHUT_RDWR)
