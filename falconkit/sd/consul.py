"""Instances in Consul, over the HTTP API of the agent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlencode

from falconkit.errors import ConfigurationError
from falconkit.sd.discovery import Discovery, Entries
from falconkit.sd.instance import Instance, Unusable, read
from falconkit.sd.stop import Stop
from falconkit.sd.wire import Wire

URL = "http://127.0.0.1:8500"
_WAIT = 50.0
"""Seconds that the agent holds a question for while nothing changes; it adds a 16th at most."""

_AT_ONCE = 1.0
"""Seconds until the next question after an answer that gave no index to wait on."""


def consul_service(
    service: str,
    url: str = URL,
    *,
    tags: Sequence[str] = (),
    passing: bool = True,
    datacenter: str = "",
    token: str = "",
    timeout: float = 2.0,
    most: int = 10_000,
) -> Discovery:
    """Return an `Instancer` over a service of Consul's catalogue, by blocking queries.

    A query waits at the agent until there is news, so that a change is known within
    a round trip. An index that goes back, as after a restored backup, begins anew.

    >>> consul_service("counter", tags=["blue"])
    Discovery('consul counter')

    Args:
        service: The service.
        url: The agent's URL.
        tags: An instance has all of them.
        passing: Whether the agent leaves out those whose checks do not pass. False has them
            all, marked as healthy or not, so that a balancer can use them in a panic.
        datacenter: The agent's own when "".
        token: The ACL token.
        timeout: Seconds to connect, and to be answered beyond the wait.
        most: How many instances there may be.

    Raises:
        ConfigurationError: A value cannot be used.
    """
    _named(service)
    headers = {"X-Consul-Token": token} if token else {}
    Wire(url, timeout=timeout)  # refuses now what cannot be used
    query = [("tag", tag) for tag in tags]
    query += [("passing", "1")] if passing else []
    query += [("dc", datacenter)] if datacenter else []
    path = f"/v1/health/service/{quote(service, safe='')}?"

    def rounds(stop: Stop) -> Iterator[Entries]:
        wire = Wire(url, headers=headers, timeout=timeout, stop=stop)
        index = 0
        try:
            while not stop:
                asked = [*query, ("index", str(index)), ("wait", f"{_WAIT:.0f}s")]
                wait = _WAIT * 17 / 16 if index else 0.0
                answer = wire.ask("GET", path + urlencode(asked), wait=wait)
                yield _entries(answer.json(), set(tags))
                before, index = index, _index(answer.headers.get("X-Consul-Index"))
                if index < before:
                    index = 0
                if not index:
                    stop.wait(_AT_ONCE)
        finally:
            wire.close()

    return Discovery(rounds, name=f"consul {service}", most=most)


class ConsulRegistry:
    """Registers at the host's Consul agent, with a TTL check; see `Registrar`.

    An instance that stays away is removed for good after ten times its time to
    live, a minute at least, which is Consul's shortest.

    >>> ConsulRegistry()
    ConsulRegistry('http://127.0.0.1:8500')

    Args:
        url: The agent's URL.
        token: The ACL token.
        timeout: Seconds to connect, and to be answered.

    Raises:
        ConfigurationError: A value cannot be used.
    """

    def __init__(self, url: str = URL, *, token: str = "", timeout: float = 2.0) -> None:
        headers = {"X-Consul-Token": token} if token else {}
        self._url = url
        self._wire = Wire(url, headers=headers, timeout=timeout, patience=0.0)

    def keep(self, service: str, instance: Instance, ttl: float) -> None:
        """See `Registry.keep`."""
        check = quote(f"service:{_id(service, instance)}", safe="")
        # An agent that was restarted, or never asked, does not know the check.
        if self._wire.ask("PUT", f"/v1/agent/check/pass/{check}").status >= 300:
            body = _registration(service, instance, ttl)
            _done(self._wire.ask("PUT", "/v1/agent/service/register", body))

    def drop(self, service: str, instance: Instance) -> None:
        """See `Registry.drop`."""
        id = quote(_id(service, instance), safe="")
        answer = self._wire.ask("PUT", f"/v1/agent/service/deregister/{id}")
        if answer.status != 404:  # it is gone already
            _done(answer)

    def abort(self) -> None:
        """See `Breakable.abort`."""
        self._wire.abort()

    def close(self) -> None:
        """See `Registry.close`."""
        self._wire.close()

    def __repr__(self) -> str:
        return f"ConsulRegistry({self._url!r})"


def _registration(service: str, instance: Instance, ttl: float) -> dict[str, object]:
    return {
        "ID": _id(service, instance),
        "Name": _named(service),
        "Address": instance.host,
        "Port": instance.port,
        "Tags": list(instance.tags),
        "Meta": {"zone": instance.zone} if instance.zone else {},
        "Weights": {"Passing": max(1, round(instance.weight)), "Warning": 1},
        "Check": {
            "TTL": f"{ttl:g}s",
            "Status": "passing",
            "DeregisterCriticalServiceAfter": f"{max(60.0, 10 * ttl):g}s",
        },
    }


def _entries(rows: Any, tags: set[str]) -> list[Instance | Unusable]:
    if not isinstance(rows, list):
        raise OSError(f"Consul's answer cannot be understood: {str(rows)[:200]}")
    return [entry for row in rows if (entry := _entry(row, tags)) is not None]


def _entry(row: Any, tags: set[str]) -> Instance | Unusable | None:
    try:
        service, node = row["Service"], row["Node"]
        has = tuple(map(str, service.get("Tags") or ()))
        if not tags <= set(has):
            return None  # an agent of old, which looks at the first tag alone
        meta: Mapping[str, Any] = service.get("Meta") or {}
        return read(
            service.get("Address") or node["Address"],
            service["Port"],
            id=str(service.get("ID", "")),
            zone=str(meta.get("zone") or node.get("Datacenter") or ""),
            weight=float((service.get("Weights") or {}).get("Passing", 1)),
            healthy=all(check.get("Status") == "passing" for check in row.get("Checks") or ()),
            tags=has,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return Unusable(str(row)[:80], f"{type(error).__name__}: {error}"[:200])


def _index(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else 0


def _done(answer: Any) -> None:
    if answer.status >= 300:
        raise OSError(f"Consul answered {answer.status}: {answer.body[:200]!r}")


def _id(service: str, instance: Instance) -> str:
    return f"{service}-{instance.address}"


def _named(service: str) -> str:
    if not service or "/" in service or not service.isprintable():
        raise ConfigurationError(f"a service's name has no '/', got {service!r}")
    return service
