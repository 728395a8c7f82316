"""Buckets in Redis: exact for every host that shares it, in one round trip."""

from __future__ import annotations

import hashlib
import importlib.resources
from typing import Any, Protocol, cast

from falconkit.errors import ConfigurationError
from falconkit.extras import needing

with needing("redis"):
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

FAILURES: tuple[type[Exception], ...] = (redis.RedisError, OSError)
"""What it raises when Redis is away, or answers an error."""

TIMEOUT = 0.1
"""Seconds to connect, and to be answered: a limiter that is slow is worse than none."""


class _Scripting(Protocol):
    def evalsha(self, sha: str, numkeys: int, /, *keys_and_args: Any) -> Any: ...
    def eval(self, script: str, numkeys: int, /, *keys_and_args: Any) -> Any: ...
    def delete(self, /, *names: Any) -> Any: ...


def connect(url: str, *, timeout: float = TIMEOUT) -> redis.Redis:
    """Return a client that opens nothing yet, and never sends a command twice.

    An answer may be lost after the tokens were taken: a client that tried
    again, as redis-py's default does, would take them again.

    Args:
        url: ``redis://``, ``rediss://`` or, as `limits` has it, ``redis+unix://``.
        timeout: Seconds to connect, and to be answered. One in the URL's
            query (``?socket_timeout=0.5``) goes before it.

    Raises:
        ConfigurationError: The URL cannot be read.
    """
    try:
        return redis.Redis.from_url(
            url.replace("redis+unix://", "unix://", 1),
            protocol=2,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        raise ConfigurationError(f"the Redis URL cannot be read: {error}") from None


class RedisBuckets:
    """Token buckets by the generic cell rate algorithm, on Redis' own clock.

    Redis 5 or later. One string a key, which expires when its bucket is full.
    """

    def __init__(self, client: redis.Redis, *, prefix: str) -> None:
        """Keep the buckets of ``client`` under keys that begin with ``prefix``."""
        files = importlib.resources.files("falconkit.ratelimit")
        self._script = files.joinpath("token_bucket.lua").read_text()
        # Redis names a script by its SHA-1; nothing is protected by it.
        self._sha = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        self._client = cast(_Scripting, client)
        self._prefix = prefix

    def take(self, key: str, interval: float, burst: int, cost: int = 1) -> tuple[bool, float]:
        """Take ``cost`` tokens, or nothing, in one round trip.

        Returns:
            Whether they were there, and the seconds until the bucket is full.

        Raises:
            redis.RedisError: Redis is away. The tokens may have been taken.
        """
        arguments = (1, self._name(key, interval, burst), repr(interval), burst, cost)
        try:
            answer = self._client.evalsha(self._sha, *arguments)
        except redis.exceptions.NoScriptError:
            # Redis was restarted: it did not run, so it is sent again, whole.
            answer = self._client.eval(self._script, *arguments)
        return answer[0] == 1, float(answer[1])

    def peek(self, key: str, interval: float, burst: int) -> float:
        """Return the seconds until the bucket is full, taking nothing."""
        return self.take(key, interval, burst, 0)[1]

    def clear(self, key: str, interval: float, burst: int) -> None:
        """Fill the bucket."""
        self._client.delete(self._name(key, interval, burst))

    def _name(self, key: str, interval: float, burst: int) -> bytes:
        # A caller may put a lone surrogate in a key, at which a client would raise.
        return f"{self._prefix}{key}/{interval!r}/{burst}".encode("utf-8", "surrogatepass")
