"""How an instance is written where a registry keeps bytes: etcd, ZooKeeper."""

from __future__ import annotations

import json

from falconkit.sd.instance import Instance, Unusable, read, read_address

_LONGEST = 16_384


def dump(instance: Instance) -> bytes:
    """Return the JSON of an instance; fields that say nothing are left out.

    >>> dump(Instance("10.0.0.1", 8000, zone="a"))
    b'{"host":"10.0.0.1","port":8000,"zone":"a"}'
    """
    fields = {
        "host": instance.host,
        "port": instance.port,
        "id": instance.id,
        "zone": instance.zone,
        "weight": None if instance.weight == 1.0 else instance.weight,
        "priority": instance.priority,
        "tags": list(instance.tags),
    }
    said = {name: value for name, value in fields.items() if value or name == "weight"}
    if said["weight"] is None:
        del said["weight"]
    return json.dumps(said, separators=(",", ":")).encode()


def load(raw: bytes) -> Instance | Unusable:
    """Read what `dump` wrote, or a bare ``host:port``, as other languages' registrars write it.

    >>> load(b"10.0.0.1:8000").address, load(b"{}")
    ('10.0.0.1:8000', Unusable(entry='{}', cause="it has no 'host'"))
    """
    try:
        text = raw[: _LONGEST + 1].decode()
    except UnicodeDecodeError as error:
        return Unusable(repr(raw[:40]), str(error))
    if len(raw) > _LONGEST:
        return Unusable(text[:80], f"it has more than {_LONGEST} bytes")
    if not text.lstrip().startswith("{"):
        return read_address(text.strip())
    try:
        fields = json.loads(text)
        tags = fields.get("tags", [])
        return read(
            fields["host"],
            fields["port"],
            id=str(fields.get("id", "")),
            zone=str(fields.get("zone", "")),
            weight=float(fields.get("weight", 1.0)),
            priority=fields.get("priority", 0),
            tags=tuple(map(str, tags)) if isinstance(tags, list) else (),
        )
    except KeyError as missing:
        return Unusable(text[:80], f"it has no {missing}")
    except (ValueError, TypeError, RecursionError) as error:
        return Unusable(text[:80], str(error)[:200])
