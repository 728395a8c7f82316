"""An instancer from one URL, as an environment variable has it."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import SplitResult, parse_qsl, urlsplit

from falconkit.errors import ConfigurationError
from falconkit.sd.file import from_file
from falconkit.sd.instance import Instance
from falconkit.sd.instancer import Instancer
from falconkit.sd.static import Static

_PORTS = {"http": 80, "https": 443}
Query = dict[str, list[str]]


def from_url(url: str) -> Instancer:
    """Return the instancer that a URL describes.

    ======================================  ==============================================
    URL                                     instances
    ======================================  ==============================================
    ``static://10.0.0.1:80,10.0.0.2:80``    these
    ``http://counter:8000``, ``https://``   this one
    ``file:///etc/counter``                 a file's lines, `from_file`
    ``dns+srv://_http._tcp.counter``        SRV records, `dns_srv`
    ``dns://counter.internal:8000``         a name's addresses, `dns_hosts`
    ``heroku://counter:8000``               a Private Space's dynos (``?process=web``)
    ``consul://counter?tag=blue``           `consul_service`
    ``etcd://counter``                      `etcd_service`
    ``zookeeper://counter``                 `zookeeper_service`
    ``eureka://counter``                    `eureka_app`
    ======================================  ==============================================

    ``?at=`` names the registry where it is not on this host: ``etcd://counter?at=http://e:2379``.

    >>> from_url("static://10.0.0.1:8000,10.0.0.2:8000")
    Static('10.0.0.1:8000', '10.0.0.2:8000')
    >>> from_url("consul://counter?tag=blue&at=http://consul:8500")
    Discovery('consul counter')

    Raises:
        ConfigurationError: It cannot be read; or its backend's package is not installed.
    """
    try:
        parts = urlsplit(url)
        make, known = _SCHEMES[parts.scheme]
        port = parts.port if parts.scheme not in ("static", "file") else None
    except (KeyError, ValueError):
        raise ConfigurationError(
            f"a discovery URL begins with one of {', '.join(f'{each}://' for each in _SCHEMES)}, "
            f"got {url!r}"
        ) from None
    query: Query = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        query.setdefault(name, []).append(value)
    unknown = query.keys() - known
    pathless = parts.scheme == "file" or parts.path in ("", "/")
    if unknown or parts.username is not None or parts.fragment or port == 0 or not pathless:
        raise ConfigurationError(
            f"{url!r}: give a name and a port, no path, and of the options {sorted(known)} at most"
        )
    return make(parts, query)


def _static(parts: SplitResult, query: Query) -> Instancer:
    return Static(*parts.netloc.split(","))


def _origin(parts: SplitResult, query: Query) -> Instancer:
    return Static(Instance(parts.hostname or "", parts.port or _PORTS[parts.scheme]))


def _file(parts: SplitResult, query: Query) -> Instancer:
    if parts.netloc or not parts.path:
        raise ConfigurationError(
            f"a file's URL is as in file:///etc/counter, got {parts.geturl()!r}"
        )
    return from_file(parts.path)


def _dns_srv(parts: SplitResult, query: Query) -> Instancer:
    from falconkit.sd.dns import dns_srv

    return dns_srv(parts.netloc)


def _dns(parts: SplitResult, query: Query) -> Instancer:
    from falconkit.sd.dns import dns_hosts

    return dns_hosts(parts.hostname or "", _port(parts))


def _heroku(parts: SplitResult, query: Query) -> Instancer:
    from falconkit.sd.heroku import heroku_space

    return heroku_space(parts.hostname or "", _port(parts), process=_one(query, "process", "web"))


def _consul(parts: SplitResult, query: Query) -> Instancer:
    from falconkit.sd.consul import URL, consul_service

    return consul_service(parts.netloc, _one(query, "at", URL), tags=query.get("tag", ()))


def _etcd(parts: SplitResult, query: Query) -> Instancer:
    from falconkit.sd.etcd import URL, etcd_service

    return etcd_service(parts.netloc, query.get("at", URL))


def _zookeeper(parts: SplitResult, query: Query) -> Instancer:
    from falconkit.sd.zookeeper import HOSTS, zookeeper_service

    return zookeeper_service(parts.netloc, ",".join(query.get("at", [HOSTS])))


def _eureka(parts: SplitResult, query: Query) -> Instancer:
    from falconkit.sd.eureka import URL, eureka_app

    return eureka_app(parts.netloc, query.get("at", URL))


def _port(parts: SplitResult) -> int:
    if not parts.port:
        raise ConfigurationError(f"{parts.geturl()!r} has no port: name it, as in counter:8000")
    return parts.port


def _one(query: Query, name: str, default: str) -> str:
    given = query.get(name, [default])
    if len(given) > 1:
        raise ConfigurationError(f"{name} is given {len(given)} times")
    return given[0]


_SCHEMES: dict[str, tuple[Callable[[SplitResult, Query], Instancer], set[str]]] = {
    "static": (_static, set()),
    "http": (_origin, set()),
    "https": (_origin, set()),
    "file": (_file, set()),
    "dns+srv": (_dns_srv, set()),
    "dns": (_dns, set()),
    "heroku": (_heroku, {"process"}),
    "consul": (_consul, {"tag", "at"}),
    "etcd": (_etcd, {"at"}),
    "zookeeper": (_zookeeper, {"at"}),
    "eureka": (_eureka, {"at"}),
}
