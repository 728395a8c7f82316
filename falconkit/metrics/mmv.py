"""Performance Co-Pilot's file of memory-mapped values (mmv(5), version 2)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

COUNTER: Final = 1
INSTANT: Final = 3

PLAIN: Final = 0
COUNT: Final = 1 << 20
SECONDS: Final = 1 << 24 | 3 << 12
BYTES: Final = 1 << 28

MOST_METRICS: Final = 1000
LONGEST: Final = 255
"""Bytes of a name or an instance's name."""

_HEADER: Final = struct.Struct("=4siQQiiii")
_TOC: Final = struct.Struct("=iiQ")
_INDOM: Final = struct.Struct("=IIQQQ")
_INSTANCE: Final = struct.Struct("=QIiQ")
_METRIC: Final = struct.Struct("=QIiiIiIQQ")
_VALUE: Final = struct.Struct("=dqQQ")
_STRING: Final = 256
_INDOMS, _INSTANCES, _METRICS, _VALUES, _STRINGS = 1, 2, 3, 4, 5
_DOUBLE: Final = 5
_NONE: Final = -1
_ITEMS, _SERIALS, _INTERNALS = 1 << 10, 1 << 22, 1 << 31


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric.

    Attributes:
        name: Letters, digits and ``_`` between dots.
        semantics: `COUNTER` or `INSTANT`.
        units: `PLAIN`, `COUNT`, `SECONDS` or `BYTES`.
        help: One line.
        values: By instance; ``""`` is the only one of a metric without instances.
    """

    name: str
    semantics: int
    units: int
    help: str
    values: dict[str, float]


class Image(NamedTuple):
    """What the file holds.

    Attributes:
        layout: Everything up to the values: names, instances, where each value is.
        values: The rest.
    """

    layout: bytes
    values: bytes


def image(metrics: Iterable[Metric], *, cluster: int) -> Image:
    """Return the file's bytes. The same names and instances give the same layout.

    Ids are made of names, so that a metric keeps its own when another is added.

    Args:
        metrics: At most 1,000.
        cluster: From 1 to 4095, apart from those of other files.
    """
    known = list(metrics)
    items = _ids((each.name for each in known), _ITEMS)
    indoms = _ids((each.name for each in known if "" not in each.values), _SERIALS)
    strings = _Strings()
    instances = [
        (each.name, name, number)
        for each in known
        if each.name in indoms
        for name, number in _ids(each.values, _INTERNALS).items()
    ]
    sections = [
        (_INDOMS, len(indoms), _INDOM.size),
        (_INSTANCES, len(instances), _INSTANCE.size),
        (_METRICS, len(known), _METRIC.size),
    ]
    count = sum(len(each.values) for each in known)
    texts = len(instances) + 2 * len(known)
    places = _Places([*sections, (_STRINGS, texts, _STRING), (_VALUES, count, _VALUE.size)])
    strings.first = places.of[_STRINGS]
    indom_at = {name: places.of[_INDOMS] + _INDOM.size * n for n, name in enumerate(indoms)}
    metric_at = {each.name: places.of[_METRICS] + _METRIC.size * n for n, each in enumerate(known)}
    instance_at = {
        instance[:2]: places.of[_INSTANCES] + _INSTANCE.size * n
        for n, instance in enumerate(instances)
    }
    written = [places.header(cluster)]
    for each in known:
        if each.name in indoms:
            first = min(instance_at[each.name, name] for name in each.values)
            written.append(_INDOM.pack(indoms[each.name], len(each.values), first, 0, 0))
    for metric, name, number in instances:
        written.append(_INSTANCE.pack(indom_at[metric], 0, number, strings.add(name)))
    for each in known:
        name_at, help_at = strings.add(each.name), strings.add(each.help)
        indom = indoms.get(each.name, _NONE)
        kind = (items[each.name], _DOUBLE, each.semantics, each.units, indom, 0)
        written.append(_METRIC.pack(name_at, *kind, help_at, 0))
    written.append(strings.text())
    values = b"".join(
        _VALUE.pack(value, 0, metric_at[each.name], instance_at.get((each.name, name), 0))
        for each in known
        for name, value in each.values.items()
    )
    return Image(b"".join(written), values)


class _Places:
    """Where the sections are, one after the other behind the table of contents."""

    def __init__(self, sections: list[tuple[int, int, int]]) -> None:
        self._tocs: list[bytes] = []
        self.of: dict[int, int] = {}
        # The agent refuses a section without entries.
        used = [each for each in sections if each[1]]
        at = _HEADER.size + _TOC.size * len(used)
        for kind, count, size in sections:
            self.of[kind] = at
            if count:
                self._tocs.append(_TOC.pack(kind, count, at))
            at += count * size

    def header(self, cluster: int) -> bytes:
        # The same generation twice: the file is complete.
        first = _HEADER.pack(b"MMV\0", 2, 1, 1, len(self._tocs), 0, 0, cluster)
        return first + b"".join(self._tocs)


class _Strings:
    def __init__(self) -> None:
        self.first = 0
        self._texts: list[bytes] = []

    def add(self, text: str) -> int:
        self._texts.append(text.encode()[:LONGEST].ljust(_STRING, b"\0"))
        return self.first + _STRING * (len(self._texts) - 1)

    def text(self) -> bytes:
        return b"".join(self._texts)


def _ids(names: Iterable[str], below: int) -> dict[str, int]:
    found: dict[str, int] = {}
    taken: set[int] = set()
    for name in names:
        number = next(each for each in _probes(name, below) if each not in taken)
        taken.add(number)
        found[name] = number
    return found


def _probes(name: str, below: int) -> Iterator[int]:
    first = zlib.crc32(name.encode())
    while True:
        # 0 stands for none in some places.
        yield first % (below - 1) + 1
        first += 1
