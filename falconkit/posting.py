"""How a backend is told something over HTTP, within a time that holds for the whole of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import urllib3

from falconkit.timed import TimedAnswer

if TYPE_CHECKING:
    import requests

_MOST = 65536
"""Bytes of an answer that are read; nobody reads more than the first words of it."""


class _HTTP(urllib3.connection.HTTPConnection):
    response_class = TimedAnswer


class _HTTPS(urllib3.connection.HTTPSConnection):
    response_class = TimedAnswer


class _HTTPPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(urllib3.HTTPSConnectionPool):
    ConnectionCls = _HTTPS


_POOLS = {"http": _HTTPPool, "https": _HTTPSPool}


class Posting:
    """Posts to one URL, over a connection that is kept, and opened on first use.

    Its answer is there within ``timeout``, to the last byte that is read of it: one that drips
    is given up. A forked child opens a connection of its own.

    >>> Posting("http://zipkin:9411/api/v2/spans", {}, timeout=5.0).close()

    Args:
        url: Where.
        headers: Sent along.
        timeout: Seconds to connect, and those until the answer is there.
    """

    def __init__(self, url: str, headers: Mapping[str, str], *, timeout: float) -> None:
        self._url, self._headers = url, dict(headers)
        self._timeout = urllib3.Timeout(total=timeout)
        self._pool: urllib3.PoolManager | None = None
        self._pid = 0

    def send(self, body: bytes) -> tuple[int, bytes]:
        """Post, and return the answer's status and how it begins.

        Raises:
            OSError: No answer came in time.
        """
        if self._pool is None or self._pid != os.getpid():
            # A connection that was open at the fork is the parent's.
            self._pool, self._pid = urllib3.PoolManager(1, maxsize=1), os.getpid()
            self._pool.pool_classes_by_scheme = _POOLS
        try:
            answer = self._pool.request(
                "POST",
                self._url,
                body=body,
                headers=self._headers,
                timeout=self._timeout,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                return answer.status, answer.read(_MOST)
            finally:
                # Of one that was read whole the connection has been given back already.
                answer.close()
        except urllib3.exceptions.HTTPError as error:
            raise OSError(str(error)) from error

    def close(self) -> None:
        """Close the connection."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.clear()


def timed_session() -> requests.Session | None:
    """Return a session of ``requests`` whose timeout is that of a whole answer.

    None where OpenTelemetry's environment names one, which brings credentials.
    """
    if any(name.endswith("_CREDENTIAL_PROVIDER") for name in os.environ):
        return None
    import requests

    class Adapter(requests.adapters.HTTPAdapter):
        def init_poolmanager(self, *args: Any, **options: Any) -> None:
            super().init_poolmanager(*args, **options)
            self.poolmanager.pool_classes_by_scheme = _POOLS

        def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
            manager = super().proxy_manager_for(*args, **options)
            manager.pool_classes_by_scheme = _POOLS
            return manager

    session = requests.Session()
    for scheme in _POOLS:
        session.mount(f"{scheme}://", Adapter())
    return session
