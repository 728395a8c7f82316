"""Instances from DNS: SRV records (RFC 2782), or the addresses of a name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from falconkit.errors import ConfigurationError
from falconkit.extras import need
from falconkit.sd.discovery import Discovery, Entries
from falconkit.sd.instance import Instance, Unusable, read
from falconkit.sd.stop import Stop

dns = need("dns", "dns.resolver", "dns.rdatatype")
_RETRY = 5.0
"""Seconds after which a server that was away is asked again at the latest."""

_KINDS = {"A": ("A",), "AAAA": ("AAAA",), "both": ("A", "AAAA")}


def dns_srv(
    name: str,
    *,
    resolve: bool = True,
    nameserver: str | None = None,
    port: int = 53,
    timeout: float = 2.0,
    at_least: float = 1.0,
    at_most: float = 60.0,
    most: int = 1_000,
) -> Discovery:
    """Return an `Instancer` over SRV records, as in ``_http._tcp.counter.example.com``.

    Priorities become tiers, weights weights. It asks again when the shortest TTL
    of the answer is over. A name that does not exist has no instances; a server that
    does not answer, or answers an error, is a failure.

    >>> dns_srv("_http._tcp.counter.example.com")
    Discovery('dns _http._tcp.counter.example.com')

    Args:
        name: The records' name.
        resolve: Whether the targets' names are looked up here, so that each of their
            addresses is an instance. False leaves the name, for a client that
            verifies it in TLS.
        nameserver: An address to ask instead of the system's servers.
        port: The nameserver's port.
        timeout: Seconds for a question and its answer, other servers and TCP included. Such a
            wait cannot be broken off: of one over 5 s `close` does not wait for the end.
        at_least: Seconds that an answer is kept, however short its TTL.
        at_most: Seconds after which it is asked again, however long its TTL.
        most: How many instances there may be.

    Raises:
        ConfigurationError: A value cannot be used.
    """
    asker = _Asker(name, nameserver, port, timeout, at_least, at_most)

    def look() -> tuple[list[Instance | Unusable], float]:
        answer = asker.ask(name, "SRV")
        if answer is None:
            return [], at_least
        ttl = float(answer.rrset.ttl)
        found: list[Instance | Unusable] = []
        for record in list(answer)[: most + 1]:
            target = record.target.to_text(omit_final_dot=True)
            if target in (".", ""):
                continue  # "the service is decidedly not available at this domain"
            more = {"priority": record.priority, "weight": float(record.weight)}
            hosts, ttl = asker.hosts(target, answer, ttl) if resolve else ([target], ttl)
            if not hosts:
                found.append(Unusable(target[:80], "its name has no address"))
            found += [read(host, record.port, **more) for host in hosts]
        return found, ttl

    return Discovery(asker.rounds(look), name=f"dns {name}", most=most, retry=min(_RETRY, at_most))


def dns_hosts(
    name: str,
    instance_port: int,
    *,
    family: str = "both",
    nameserver: str | None = None,
    port: int = 53,
    timeout: float = 2.0,
    at_least: float = 1.0,
    at_most: float = 60.0,
    most: int = 1_000,
) -> Discovery:
    """Return an `Instancer` over the addresses of a name, each with the same port.

    >>> dns_hosts("counter.internal", 8000)
    Discovery('dns counter.internal')

    Args:
        name: The name.
        instance_port: The port of every instance.
        family: ``A`` (IPv4), ``AAAA`` (IPv6) or ``both``.
        nameserver: An address to ask instead of the system's servers.
        port: The nameserver's port.
        timeout: Seconds for a question and its answer.
        at_least: Seconds that an answer is kept, however short its TTL.
        at_most: Seconds after which it is asked again, however long its TTL.
        most: How many instances there may be.

    Raises:
        ConfigurationError: A value cannot be used.
    """
    if family not in _KINDS:
        raise ConfigurationError(f"family is one of {', '.join(_KINDS)}, got {family!r}")
    Instance("localhost", instance_port)  # refuses a port that cannot be one
    asker = _Asker(name, nameserver, port, timeout, at_least, at_most)

    def look() -> tuple[list[Instance | Unusable], float]:
        hosts, ttl = asker.addresses(name, _KINDS[family], at_most)
        return [read(host, instance_port) for host in hosts], ttl

    return Discovery(asker.rounds(look), name=f"dns {name}", most=most, retry=min(_RETRY, at_most))


class _Asker:
    """Asks one resolver, which is made by the thread that uses it."""

    def __init__(
        self,
        name: str,
        nameserver: str | None,
        port: int,
        timeout: float,
        at_least: float,
        at_most: float,
    ) -> None:
        if not 0 < timeout <= 60 or not 0 < at_least <= at_most:
            raise ConfigurationError(
                "timeout is over 0 to 60 s, and at_least over 0 to at_most, got "
                f"timeout={timeout!r}, at_least={at_least!r}, at_most={at_most!r}"
            )
        try:
            dns.name.from_text(name)
        except dns.exception.DNSException as error:
            raise ConfigurationError(f"{name!r} is no DNS name: {error}") from None
        self._nameserver, self._port = nameserver, port
        self._timeout = timeout
        self._at_least, self._at_most = at_least, at_most
        self._resolver: Any = None
        self._stop = Stop()

    def rounds(self, look: Any) -> Any:
        def rounds(stop: Stop) -> Iterator[Entries]:
            self._stop = stop
            self._resolver = self._make()  # reads the system's settings as they are now
            while not stop:
                entries, ttl = look()
                yield entries
                stop.wait(min(max(ttl, self._at_least), self._at_most))

        return rounds

    def ask(self, name: str, kind: str) -> Any:
        """Return the answer, None when there is no such name or record."""
        if self._stop:
            raise OSError("it was told to stop")  # of many questions for one answer
        try:
            return self._resolver.resolve(name, kind, lifetime=self._timeout)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return None

    def hosts(self, target: str, answer: Any, ttl: float) -> tuple[list[str], float]:
        """Return a target's addresses: from the answer's additional section, else asked for."""
        found = [
            (record.address, float(rrset.ttl))
            for rrset in answer.response.additional
            if rrset.name.to_text(omit_final_dot=True) == target
            and rrset.rdtype in (dns.rdatatype.A, dns.rdatatype.AAAA)
            for record in rrset
        ]
        if found:
            return [address for address, _ in found], min([ttl, *(each for _, each in found)])
        return self.addresses(target, _KINDS["both"], ttl)

    def addresses(self, name: str, kinds: Sequence[str], ttl: float) -> tuple[list[str], float]:
        """Return a name's addresses, and the shorter of ``ttl`` and theirs."""
        found: list[str] = []
        for kind in kinds:
            answer = self.ask(name, kind)
            if answer is not None:
                found += [record.address for record in answer]
                ttl = min(ttl, float(answer.rrset.ttl))
        return found, ttl

    def _make(self) -> Any:
        resolver = dns.resolver.Resolver(configure=self._nameserver is None)
        if self._nameserver is not None:
            resolver.nameservers = [self._nameserver]
            resolver.port = self._port
        resolver.timeout = self._timeout / 2  # of one try: there is time for a second
        return resolver
