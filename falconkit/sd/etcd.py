"""Instances in etcd v3, over its JSON gateway.

Each instance is a key under ``<prefix>/<service>/``, bound to a lease. The gateway is
part of every etcd since 3.4, so that no client library is needed.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

from falconkit.errors import ConfigurationError
from falconkit.sd.discovery import Discovery, Entries
from falconkit.sd.instance import Instance
from falconkit.sd.record import dump, load
from falconkit.sd.stop import Stop
from falconkit.sd.wire import Wire

URL = "http://127.0.0.1:2379"
PREFIX = "services"
_LOOK_AGAIN = 60.0
"""Seconds without news after which all is read anew: the connection may be dead unnoticed."""

_COMPACTED = 11
"""gRPC's OUT_OF_RANGE: what etcd answers when the revision is no longer kept."""


def etcd_service(
    service: str,
    url: str | Sequence[str] = URL,
    *,
    prefix: str = PREFIX,
    headers: Mapping[str, str] | None = None,
    timeout: float = 2.0,
    most: int = 10_000,
) -> Discovery:
    """Return an `Instancer` over the keys ``<prefix>/<service>/...``.

    It reads them all, then watches from the next revision on, so that no change is
    missed in between. Where that revision has been compacted it reads anew.

    >>> etcd_service("counter")
    Discovery('etcd services/counter/')

    Args:
        service: The service.
        url: etcd's client URL, or those of its members.
        prefix: Before the service's name; other services may stand beside it.
        headers: Sent along, as ``Authorization``.
        timeout: Seconds to connect, and to be answered.
        most: How many instances there may be.

    Raises:
        ConfigurationError: A value cannot be used.
    """
    folder = _folder(prefix, service)
    Wire(url, headers=headers, timeout=timeout)  # refuses now what cannot be used

    def rounds(stop: Stop) -> Iterator[Entries]:
        wire = Wire(url, headers=headers, timeout=timeout, stop=stop)
        try:
            while not stop:
                kept, revision = _read(wire, folder)
                yield _entries(kept)
                for changes in _watch(wire, folder, revision + 1):
                    for event in changes:
                        _apply(kept, event)
                    yield _entries(kept)
        finally:
            wire.close()

    return Discovery(rounds, name=f"etcd {folder}", most=most)


class EtcdRegistry:
    """Registers in etcd, by a lease, where `etcd_service` finds it; see `Registrar`.

    >>> EtcdRegistry("http://127.0.0.1:2379")
    EtcdRegistry('services')

    Args:
        url: etcd's client URL, or those of its members.
        prefix: Before the service's name.
        headers: Sent along, as ``Authorization``.
        timeout: Seconds to connect, and to be answered.

    Raises:
        ConfigurationError: A value cannot be used.
    """

    def __init__(
        self,
        url: str | Sequence[str] = URL,
        *,
        prefix: str = PREFIX,
        headers: Mapping[str, str] | None = None,
        timeout: float = 2.0,
    ) -> None:
        _folder(prefix, "x")
        self._prefix = prefix
        self._wire = Wire(url, headers=headers, timeout=timeout, patience=0.0)
        self._leases: dict[str, str] = {}

    def keep(self, service: str, instance: Instance, ttl: float) -> None:
        """See `Registry.keep`."""
        key = _folder(self._prefix, service) + instance.address
        lease = self._leases.get(key)
        if lease is None or not self._renewed(lease):
            # Whole seconds, and etcd may make them more.
            granted = self._ask("/v3/lease/grant", {"TTL": str(max(1, round(ttl)))})
            lease = self._leases[key] = str(granted["ID"])
        here = self._ask("/v3/kv/range", {"key": _b64(key)}).get("kvs", [])
        value = _b64(dump(instance))
        # Somebody may have removed it, or put it there under a lease that will end.
        if not here or str(here[0].get("lease")) != lease or here[0].get("value") != value:
            self._ask("/v3/kv/put", {"key": _b64(key), "value": value, "lease": lease})

    def drop(self, service: str, instance: Instance) -> None:
        """See `Registry.drop`."""
        key = _folder(self._prefix, service) + instance.address
        self._ask("/v3/kv/deleterange", {"key": _b64(key)})
        lease = self._leases.pop(key, None)
        if lease is not None:
            self._ask("/v3/lease/revoke", {"ID": lease})

    def abort(self) -> None:
        """See `Breakable.abort`."""
        self._wire.abort()

    def close(self) -> None:
        """See `Registry.close`."""
        self._leases.clear()
        self._wire.close()

    def _renewed(self, lease: str) -> bool:
        answer = self._ask("/v3/lease/keepalive", {"ID": lease})
        return int(answer.get("result", {}).get("TTL", 0)) > 0

    def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return _mapping(self._wire.ask("POST", path, body).json())

    def __repr__(self) -> str:
        return f"EtcdRegistry({self._prefix!r})"


def _read(wire: Wire, folder: str) -> tuple[dict[str, bytes], int]:
    answer = _mapping(wire.ask("POST", "/v3/kv/range", _range(folder)).json())
    try:
        kept = {str(kv["key"]): _value(kv) for kv in answer.get("kvs", [])}
        return kept, int(answer["header"]["revision"])
    except (KeyError, TypeError, ValueError) as error:
        raise OSError(f"etcd's answer cannot be understood: {error!r}") from error


def _watch(wire: Wire, folder: str, revision: int) -> Iterator[list[Any]]:
    """Yield changes until all is to be read anew."""
    ask = {"create_request": {**_range(folder), "start_revision": str(revision)}}
    with closing(wire.lines("POST", "/v3/watch", ask, wait=_LOOK_AGAIN)) as lines:
        for line in lines:
            message = _mapping(json.loads(line))
            result = message.get("result", {})
            code = message.get("error", {}).get("grpc_code")
            if result.get("canceled") or code == _COMPACTED:
                return
            if "error" in message:
                raise OSError(f"etcd ended the watch: {message['error']}")
            if result.get("events"):
                yield result["events"]


def _apply(kept: dict[str, bytes], event: Any) -> None:
    key = str(event["kv"]["key"])
    if event.get("type") == "DELETE":  # a put has no type: it is the default
        kept.pop(key, None)
    else:
        kept[key] = _value(event["kv"])


def _entries(kept: dict[str, bytes]) -> Entries:
    return [load(raw) for raw in kept.values()]


def _range(folder: str) -> dict[str, str]:
    # "/" is followed by "0": everything that begins with the folder, and nothing else.
    return {"key": _b64(folder), "range_end": _b64(folder[:-1] + "0")}


def _value(kv: Mapping[str, Any]) -> bytes:
    return base64.b64decode(str(kv.get("value", "")))


def _b64(text: str | bytes) -> str:
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def _mapping(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise OSError(f"etcd's answer cannot be understood: {str(value)[:200]}")
    return value


def _folder(prefix: str, service: str) -> str:
    if not service or "/" in service or not service.isprintable() or prefix.endswith("/"):
        raise ConfigurationError(
            f"a service's name has no '/', and a prefix does not end with it, "
            f"got {service!r} and {prefix!r}"
        )
    return f"{prefix}/{service}/"
