"""Where a daemon's name leads, and for how long that holds."""

from __future__ import annotations

import socket
from typing import Any, Final, NamedTuple

from falconkit.clock import Clock
from falconkit.errors import UpstreamUnavailable

_AT_LEAST: Final = 1.0
_AT_MOST: Final = 60.0
_AGAIN: Final = 5.0
_PATIENCE: Final = 1.0


class Target(NamedTuple):
    """Where datagrams go: a family of sockets, and an address in it."""

    family: int
    address: tuple[Any, ...] | str


class Address:
    """Where a name leads. Looked up by the flush thread only, and again when its time is over.

    That is what the name's TTL says, within 1 s and a minute, where dnspython is installed
    (extra ``dns``); else a minute, for the system's own look-up does not tell a TTL.
    """

    def __init__(
        self, host: str, port: int, clock: Clock, *, setting: str = "STATSD_HOST", upstream: str
    ) -> None:
        self._host, self._port, self._clock = host, port, clock
        self._setting, self._upstream = setting, upstream
        self._found: Target | None = None
        self._cause = ""
        self._until = float("-inf")

    def find(self) -> Target:
        """Return the numeric address.

        A known address is kept while the name cannot be looked up.

        Raises:
            UpstreamUnavailable: The name does not resolve; it is tried again
                after 5 s.
        """
        now = self._clock.monotonic()
        if self._until <= now:
            try:
                self._found = self._look_up()
                self._until = now + self._lifetime(self._found)
            except (OSError, ValueError) as ex:
                self._cause = str(ex)
                self._until = now + _AGAIN
        if self._found is None:
            raise UpstreamUnavailable(
                f"{self._setting}={self._host!r} does not resolve ({self._cause}): give the name "
                "or address of a StatsD daemon, or unset it",
                upstream=self._upstream,
            )
        return self._found

    def _look_up(self) -> Target:
        # The system's look-up, since it knows /etc/hosts and whatever else it is set up for.
        found = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_DGRAM)
        # "localhost" is both, and daemons listen on IPv4 unless told otherwise.
        family, _, _, _, address = min(found, key=lambda each: each[0] != socket.AF_INET)
        return Target(family, address)

    def _lifetime(self, found: Target) -> float:
        if self._host in ("localhost", found.address[0]):
            return _AT_MOST  # it is none of the DNS' names
        ttl = _ttl(self._host)
        return _AT_MOST if ttl is None else min(max(ttl, _AT_LEAST), _AT_MOST)


class UnixPath:
    """A socket in the file system, which needs no look-up."""

    def __init__(self, path: str) -> None:
        self._target = Target(socket.AF_UNIX, path)

    def find(self) -> Target:
        """Return it."""
        return self._target


def _ttl(host: str) -> float | None:
    """Return the seconds of a name in the DNS; None where that is not to be learned."""
    try:
        import dns.exception
        import dns.resolver
    except ImportError:
        return None
    for kind in ("A", "AAAA"):
        try:
            answer = dns.resolver.Resolver().resolve(host, kind, lifetime=_PATIENCE, search=True)
        except dns.resolver.NoAnswer:
            continue
        except (dns.exception.DNSException, OSError, ValueError):
            return None
        # Of all that led here: an alias may go elsewhere before its target does.
        return float(answer.chaining_result.minimum_ttl)
    return None
