"""One instance of a service: where it answers, and what discovery says of it."""

from __future__ import annotations

import ipaddress
import math
import re
from dataclasses import dataclass

from falconkit.errors import ConfigurationError

_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?\Z")
_LONGEST_NAME = 253
_LONGEST_TEXT = 255
_MOST_TAGS = 64
_HEAVIEST = 1e6
_ADDRESS = re.compile(r"(?:\[(?P<v6>[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::(?P<port>[0-9]{1,5}))?\Z")


@dataclass(frozen=True, slots=True)
class Instance:
    """Where one instance of a service answers.

    All of it comes from outside, so all of it is bounded and checked when it is made.

    Attributes:
        host: A host's name, or an address; IPv6 without brackets.
        port: 1 to 65535.
        id: What the registry calls it; "" where it has no such thing.
        zone: Where it stands, for zone preference.
        weight: Its share of the calls beside the others', 0 to a million.
        priority: The tier, 0 first; a later one is for when the earlier ones are
            not well (RFC 2782).
        healthy: False when whoever checks it says so.
        tags: Words that the registry has on it.

    >>> Instance("10.0.0.1", 8000).address, Instance("::1", 8000, zone="a").address
    ('10.0.0.1:8000', '[::1]:8000')

    Raises:
        ConfigurationError: A value cannot be used; the message names it.
    """

    host: str
    port: int
    id: str = ""
    zone: str = ""
    weight: float = 1.0
    priority: int = 0
    healthy: bool = True
    tags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check_host(self.host)
        if type(self.port) is not int or not 1 <= self.port <= 65535:
            raise ConfigurationError(f"a port is a number from 1 to 65535, got {self.port!r}")
        if not (0 <= self.weight <= _HEAVIEST and math.isfinite(self.weight)):
            raise ConfigurationError(f"a weight is from 0 to {_HEAVIEST:g}, got {self.weight!r}")
        if type(self.priority) is not int or not 0 <= self.priority <= 65535:
            raise ConfigurationError(f"a priority is from 0 to 65535, got {self.priority!r}")
        if len(self.tags) > _MOST_TAGS:
            raise ConfigurationError(f"an instance has at most {_MOST_TAGS} tags")
        for text in (self.id, self.zone, *self.tags):
            if text and (len(text) > _LONGEST_TEXT or not text.isprintable()):
                raise ConfigurationError(
                    f"an id, a zone or a tag is up to {_LONGEST_TEXT} printable characters, "
                    f"got {text[:40]!r}"
                )

    @property
    def address(self) -> str:
        """``host:port``, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def parse(cls, address: str, *, port: int | None = None, **more: object) -> Instance:
        """Read ``host:port``.

        >>> Instance.parse("[::1]:8000").host, Instance.parse("users", port=80).port
        ('::1', 80)

        Args:
            address: A name, an IPv4 address or an IPv6 address in brackets, and a port.
            port: The port when the address has none.
            **more: Other fields of an `Instance`.

        Raises:
            ConfigurationError: It cannot be read.
        """
        found = _ADDRESS.match(address)
        given = found["port"] if found else None
        if found is None or (given is None and port is None):
            raise ConfigurationError(f"an address is host:port or [IPv6]:port, got {address!r}")
        host = found["name"] if found["v6"] is None else found["v6"]
        if found["v6"] is not None and ":" not in host:
            raise ConfigurationError(f"brackets stand around an IPv6 address, got {address!r}")
        number = int(given) if given is not None else port
        return cls(host, number, **more)  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Unusable:
    """An entry of a registry's answer that no call could be sent to.

    Attributes:
        entry: The entry, cut short.
        cause: What is wrong with it.
    """

    entry: str
    cause: str


def read(host: str, port: int, **more: object) -> Instance | Unusable:
    """Return the instance that a registry's entry describes, or what is wrong with the entry.

    >>> read("10.0.0.1", 0)
    Unusable(entry='10.0.0.1:0', cause='a port is a number from 1 to 65535, got 0')
    """
    try:
        return Instance(host, port, **more)  # type: ignore[arg-type]
    except (ConfigurationError, TypeError, ValueError) as error:
        return Unusable(f"{host}:{port}"[:80], str(error)[:200])


def read_address(address: str, **more: object) -> Instance | Unusable:
    """As `read`, of an entry that has ``host:port`` in one."""
    try:
        return Instance.parse(address, **more)  # type: ignore[arg-type]
    except (ConfigurationError, TypeError, ValueError) as error:
        return Unusable(address[:80], str(error)[:200])


def _check_host(host: object) -> None:
    if not isinstance(host, str):
        raise ConfigurationError(f"a host is a name or an address, got {str(host)[:80]!r}")
    if ":" in host or host.rpartition(".")[2].isdigit():
        try:
            found = ipaddress.ip_address(host)
        except ValueError:
            raise ConfigurationError(f"{host[:80]!r} is no IP address") from None
        if found.is_unspecified or found.is_multicast or "%" in host:
            raise ConfigurationError(f"nobody can be called at {host[:80]!r}")
    elif len(host) > _LONGEST_NAME or not _NAME.match(host):
        raise ConfigurationError(f"{host[:80]!r} is no host name")
