"""Performance Co-Pilot's file of memory-mapped values (mmv(5), version 2)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
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
_NUMBER: Final = struct.Struct("=d")
_TAIL: Final = struct.Struct("=qQQ")
_STRING: Final = 256
_INDOMS, _INSTANCES, _METRICS, _VALUES, _STRINGS = 1, 2, 3, 4, 5
_DOUBLE: Final = 5
_NONE: Final = -1
_ITEMS, _SERIALS, _INTERNALS = 1 << 10, 1 << 22, 1 << 31


class Shape(NamedTuple):
    """What stays the same of a metric.

    Attributes:
        name: Letters, digits and ``_`` between dots.
        semantics: `COUNTER` or `INSTANT`.
        units: `PLAIN`, `COUNT`, `SECONDS` or `BYTES`.
        help: One line.
        instances: ``""`` is the only one of a metric without instances.
    """

    name: str
    semantics: int
    units: int
    help: str
    instances: tuple[str, ...]


class Layout(NamedTuple):
    """All of the file but the values.

    Attributes:
        head: Everything up to the values: names, instances, where each value is.
        tails: What stands behind each value, in the order of metrics and instances.
    """

    head: bytes
    tails: tuple[bytes, ...]

    def values(self, numbers: Iterable[float]) -> bytes:
        """Return the rest of the file."""
        both = zip(numbers, self.tails, strict=True)
        return b"".join([_NUMBER.pack(number) + tail for number, tail in both])


def layout(metrics: Sequence[Shape], *, cluster: int) -> Layout:
    """Return the layout of the file. The same names and instances give the same bytes.

    Ids are made of names, so that a metric keeps its own when another is added.

    Args:
        metrics: At most 1,000.
        cluster: From 1 to 4095, apart from those of other files.
    """
    items = _ids((each.name for each in metrics), _ITEMS)
    indoms = _ids((each.name for each in metrics if "" not in each.instances), _SERIALS)
    instances = [
        (each.name, name, number)
        for each in metrics
        if each.name in indoms
        for name, number in _ids(each.instances, _INTERNALS).items()
    ]
    sections = [
        (_INDOMS, len(indoms), _INDOM.size),
        (_INSTANCES, len(instances), _INSTANCE.size),
        (_METRICS, len(metrics), _METRIC.size),
        (_STRINGS, len(instances) + 2 * len(metrics), _STRING),
        (_VALUES, sum(len(each.instances) for each in metrics), _NUMBER.size + _TAIL.size),
    ]
    places = _Places(sections)
    strings = _Strings(places.of[_STRINGS])
    indom_at = {name: places.at(_INDOMS, n) for n, name in enumerate(indoms)}
    metric_at = {each.name: places.at(_METRICS, n) for n, each in enumerate(metrics)}
    instance_at = {each[:2]: places.at(_INSTANCES, n) for n, each in enumerate(instances)}
    written = [places.header(cluster)]
    for each in metrics:
        if each.name in indoms:
            first = instance_at[each.name, each.instances[0]]
            written.append(_INDOM.pack(indoms[each.name], len(each.instances), first, 0, 0))
    for metric, name, number in instances:
        written.append(_INSTANCE.pack(indom_at[metric], 0, number, strings.add(name)))
    for each in metrics:
        name_at, help_at = strings.add(each.name), strings.add(each.help)
        indom = indoms.get(each.name, _NONE)
        kind = (items[each.name], _DOUBLE, each.semantics, each.units, indom, 0)
        written.append(_METRIC.pack(name_at, *kind, help_at, 0))
    written.append(strings.text())
    tails = tuple(
        _TAIL.pack(0, metric_at[each.name], instance_at.get((each.name, name), 0))
        for each in metrics
        for name in each.instances
    )
    return Layout(b"".join(written), tails)


class _Places:
    """Where the sections are, one after the other behind the table of contents."""

    def __init__(self, sections: list[tuple[int, int, int]]) -> None:
        self._tocs: list[bytes] = []
        self._sizes = {kind: size for kind, _, size in sections}
        self.of: dict[int, int] = {}
        # The agent refuses a section without entries.
        used = [each for each in sections if each[1]]
        at = _HEADER.size + _TOC.size * len(used)
        for kind, count, size in sections:
            self.of[kind] = at
            if count:
                self._tocs.append(_TOC.pack(kind, count, at))
            at += count * size

    def at(self, kind: int, number: int) -> int:
        return self.of[kind] + number * self._sizes[kind]

    def header(self, cluster: int) -> bytes:
        # The same generation twice: the file is complete.
        first = _HEADER.pack(b"MMV\0", 2, 1, 1, len(self._tocs), 0, 0, cluster)
        return first + b"".join(self._tocs)


class _Strings:
    def __init__(self, first: int) -> None:
        self._first = first
        self._texts: list[bytes] = []

    def add(self, text: str) -> int:
        self._texts.append(text.encode()[:LONGEST].ljust(_STRING, b"\0"))
        return self._first + _STRING * (len(self._texts) - 1)

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
