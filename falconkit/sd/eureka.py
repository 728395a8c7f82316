"""Instances in Eureka, over the REST API that its servers have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import quote

from falconkit.errors import ConfigurationError
from falconkit.sd.discovery import Discovery, Entries
from falconkit.sd.eureka_mirror import Mirror, listed
from falconkit.sd.instance import Instance, Unusable, read
from falconkit.sd.stop import Stop
from falconkit.sd.wire import Wire

URL = "http://127.0.0.1:8761/eureka"
_LONG = 128 << 10
"""Bytes of an application's answer, of some hundred instances, from which on deltas are asked for.

A delta is of all applications together: for a short one it is the longer answer.
"""

_NO_DELTAS = (403, 404)
"""How a server answers that has them turned off (``disableDelta``)."""


def eureka_app(
    app: str,
    url: str | Sequence[str] = URL,
    *,
    deltas: bool | None = None,
    every: float = 10.0,
    timeout: float = 2.0,
    most: int = 10_000,
) -> Discovery:
    """Return an `Instancer` over the instances of an application that are ``UP``.

    It asks for the application, and where that is long, for what has changed of the whole
    registry, which must agree with the server's ``apps__hashcode``, or all is read anew. A
    server's answers are up to 30 s old, as it caches them.

    >>> eureka_app("counter")
    Discovery('eureka COUNTER')

    Args:
        app: The application; Eureka writes it in capitals.
        url: The server's URL, or those of several, which are asked in turn.
        deltas: Whether to ask for changes only; by the answer's length when None.
        every: Seconds between two questions.
        timeout: Seconds to connect, and to be answered.
        most: How many instances there may be.

    Raises:
        ConfigurationError: A value cannot be used.
    """
    name = _named(app)
    if not 0.01 <= every <= 3600:
        raise ConfigurationError(f"every is 0.01 to 3600 s, got {every!r}")
    Wire(url, timeout=timeout)  # refuses now what cannot be used

    def rounds(stop: Stop) -> Iterator[Entries]:
        wire = Wire(url, timeout=timeout, stop=stop)
        try:
            if not deltas:
                yield from _whole(wire, name, stop, every, math.inf if deltas is False else _LONG)
            yield from _changes(wire, name, stop, every)
            # The server gives no deltas.
            yield from _whole(wire, name, stop, every, math.inf)
        finally:
            wire.close()

    return Discovery(rounds, name=f"eureka {name}", most=most, retry=min(5.0, every))


class EurekaRegistry:
    """Registers in Eureka, and renews; see `Registrar`.

    Eureka looks for what was not renewed once a minute only, and keeps it all when too much
    of it was not (its self-preservation): an instance that died is told of for
    minutes. Outlier ejection is what helps then.

    >>> EurekaRegistry()
    EurekaRegistry(Wire('http://127.0.0.1:8761'))

    Args:
        url: The server's URL, or those of several, which are asked in turn.
        timeout: Seconds to connect, and to be answered.

    Raises:
        ConfigurationError: A value cannot be used.
    """

    def __init__(self, url: str | Sequence[str] = URL, *, timeout: float = 2.0) -> None:
        self._wire = Wire(url, timeout=timeout, patience=0.0)

    def keep(self, service: str, instance: Instance, ttl: float) -> None:
        """See `Registry.keep`."""
        renewed = self._wire.ask("PUT", f"{_path(service, instance)}?status=UP")
        if renewed.status == 404:
            _done(self._wire.ask("POST", f"/apps/{_named(service)}", _body(service, instance, ttl)))
        else:
            _done(renewed)

    def drop(self, service: str, instance: Instance) -> None:
        """See `Registry.drop`."""
        answer = self._wire.ask("DELETE", _path(service, instance))
        if answer.status != 404:  # it is gone already
            _done(answer)

    def abort(self) -> None:
        """See `Breakable.abort`."""
        self._wire.abort()

    def close(self) -> None:
        """See `Registry.close`."""
        self._wire.close()

    def __repr__(self) -> str:
        return f"EurekaRegistry({self._wire!r})"


def _whole(
    wire: Wire, app: str, stop: Stop, every: float, longest: float
) -> Iterator[list[Instance | Unusable]]:
    """Ask for the application again and again, until its answer is longer than ``longest``."""
    while not stop:
        answer = wire.ask("GET", f"/apps/{quote(app, safe='')}")
        # An application without instances is unknown.
        yield [] if answer.status == 404 else _entries(answer.json())
        if len(answer.body) > longest:
            return
        stop.wait(every)


def _changes(wire: Wire, app: str, stop: Stop, every: float) -> Iterator[list[Instance | Unusable]]:
    """Ask for what has changed again and again, until the server refuses to tell."""
    mirror = Mirror(app)
    agrees = False
    while not stop:
        if not agrees:
            mirror.take(wire.ask("GET", "/apps/").json())
        yield [entry for row in mirror.rows() if (entry := _entry(row)) is not None]
        stop.wait(every)
        if stop:
            return
        answer = wire.ask("GET", "/apps/delta")
        if answer.status in _NO_DELTAS:
            return
        agrees = mirror.apply(answer.json())


def _body(service: str, instance: Instance, ttl: float) -> dict[str, object]:
    fields: dict[str, object] = {
        "instanceId": _id(service, instance),
        "app": _named(service),
        "vipAddress": service,
        "hostName": instance.host,
        "ipAddr": instance.host,
        "status": "UP",
        "port": {"$": instance.port, "@enabled": "true"},
        "dataCenterInfo": {
            "@class": "com.netflix.appinfo.InstanceInfo$DefaultDataCenterInfo",
            "name": "MyOwn",
        },
        "leaseInfo": {
            "durationInSecs": max(1, round(ttl)),
            "renewalIntervalInSecs": max(1, round(ttl / 3)),
        },
        "metadata": {"zone": instance.zone, "weight": f"{instance.weight:g}"},
    }
    return {"instance": fields}


def _entries(answer: Any) -> list[Instance | Unusable]:
    try:
        rows = answer["application"]["instance"]
    except (KeyError, TypeError) as error:
        raise OSError(f"Eureka's answer cannot be understood: {str(answer)[:200]}") from error
    found = [_entry(row) for row in listed(rows)]
    return [each for each in found if each is not None]


def _entry(row: Any) -> Instance | Unusable | None:
    try:
        if row["status"] != "UP":
            return None
        secure = row["port"].get("@enabled") == "false"
        metadata = row.get("metadata") or {}
        return read(
            row["ipAddr"],
            int(row["securePort" if secure else "port"]["$"]),
            id=str(row.get("instanceId", "")),
            zone=str(metadata.get("zone", "")),
            weight=float(metadata.get("weight", 1)),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return Unusable(str(row)[:80], f"{type(error).__name__}: {error}"[:200])


def _done(answer: Any) -> None:
    if answer.status >= 300:
        raise OSError(f"Eureka answered {answer.status}: {answer.body[:200]!r}")


def _path(service: str, instance: Instance) -> str:
    return f"/apps/{quote(_named(service), safe='')}/{quote(_id(service, instance), safe='')}"


def _id(service: str, instance: Instance) -> str:
    return f"{service}:{instance.address}"


def _named(app: str) -> str:
    if not app or "/" in app or not app.isprintable():
        raise ConfigurationError(f"an application's name has no '/', got {app!r}")
    return app.upper()
