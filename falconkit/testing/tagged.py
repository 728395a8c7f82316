"""Receivers of StatsD's dialects with tags, and parsers as strict as their formats."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from falconkit.testing.datagrams import DatagramSink

_NAME = r"(?P<name>[A-Za-z][A-Za-z0-9_.]*)"
_NUMBER = r"(?P<value>[+-]?\d+(\.\d+)?)"
_RATE = r"(\|@(?P<rate>[01](\.\d+)?))?"
_DOGSTATSD = re.compile(rf"{_NAME}:{_NUMBER}\|(?P<kind>c|g|ms|h|d){_RATE}(\|#(?P<tags>\S+))?")
_DOG_TAG = re.compile(r"([A-Za-z][A-Za-z0-9_.-]*):([^,|#\s]{1,200})")
_TELEGRAF = re.compile(rf"{_NAME}(,(?P<tags>[^:|]+))?:{_NUMBER}\|(?P<kind>c|g|ms){_RATE}")
_TELEGRAF_TAG = re.compile(r"([A-Za-z_][A-Za-z0-9_.-]*)=([^,=:|#@\s\\]+)")

Tagged = tuple[str, tuple[tuple[str, str], ...]]
"""A series: its name, and its tags as they were sent."""


@dataclass(frozen=True, slots=True)
class TaggedLine:
    """One line of a datagram.

    Attributes:
        series: Name and tags.
        value: As sent.
        kind: ``c``, ``g``, ``ms``, ``h`` or ``d``.
        rate: The sample rate, 1.0 when none was sent.
        change: True for a gauge that is added to what is there.
    """

    series: Tagged
    value: float
    kind: str
    rate: float = 1.0
    change: bool = False


def dogstatsd(datagram: bytes) -> list[TaggedLine]:
    """Read a datagram of Datadog's dialect.

    >>> dogstatsd(b"hits:3|c|#env:prod")
    [TaggedLine(series=('hits', (('env', 'prod'),)), value=3.0, kind='c', rate=1.0, change=False)]

    Raises:
        ValueError: A line is not of it.
    """
    return [_line(text, _DOGSTATSD, _DOG_TAG) for text in datagram.decode().split("\n")]


def telegraf(datagram: bytes) -> list[TaggedLine]:
    """Read a datagram of Telegraf's dialect, in which a gauge with a sign is a change.

    >>> telegraf(b"hits,env=prod:3|c")[0].series
    ('hits', (('env', 'prod'),))

    Raises:
        ValueError: A line is not of it.
    """
    return [_line(text, _TELEGRAF, _TELEGRAF_TAG) for text in datagram.decode().split("\n")]


def _line(text: str, pattern: re.Pattern[str], tag: re.Pattern[str]) -> TaggedLine:
    found = pattern.fullmatch(text)
    rate = float(found["rate"] or 1) if found else 0.0
    if found is None or not 0 < rate <= 1 or (found["kind"] == "ms" and found["value"][0] == "-"):
        raise ValueError(f"not a line of the dialect: {text!r}")
    signed = pattern is _TELEGRAF and found["kind"] == "g" and found["value"][0] in "+-"
    tags = tuple(_tag(each, tag) for each in found["tags"].split(",")) if found["tags"] else ()
    return TaggedLine((found["name"], tags), float(found["value"]), found["kind"], rate, signed)


def _tag(text: str, pattern: re.Pattern[str]) -> tuple[str, str]:
    found = pattern.fullmatch(text)
    if found is None:
        raise ValueError(f"not a tag of the dialect: {text!r}")
    return found[1], found[2]


class TaggedSink(DatagramSink):
    """Receives on loopback or a Unix socket, and adds up by name and tags."""

    def __init__(
        self,
        parse: Callable[[bytes], list[TaggedLine]] = dogstatsd,
        *,
        port: int = 0,
        path: str | os.PathLike[str] | None = None,
    ) -> None:
        """Listen, and read by ``parse``: `dogstatsd` or `telegraf`."""
        super().__init__(port, path=path)
        self._parse = parse

    def lines(self) -> list[TaggedLine]:
        """Return every line so far.

        Raises:
            ValueError: One of them is not of the dialect.
        """
        return [line for datagram in self.datagrams() for line in self._parse(datagram)]

    def counters(self) -> dict[Tagged, float]:
        """Return the counters' sums, scaled by their sample rates."""
        sums: dict[Tagged, float] = {}
        for line in self._of("c"):
            sums[line.series] = sums.get(line.series, 0.0) + line.value / line.rate
        return sums

    def gauges(self) -> dict[Tagged, float]:
        """Return the gauges as they stand."""
        now: dict[Tagged, float] = {}
        for line in self._of("g"):
            before = now.get(line.series, 0.0) if line.change else 0.0
            now[line.series] = line.value + before
        return now

    def values(self) -> dict[Tagged, list[tuple[float, float]]]:
        """Return each histogram's values as sent, with what each of them counts for."""
        found: dict[Tagged, list[tuple[float, float]]] = {}
        for line in self._of("ms", "h", "d"):
            found.setdefault(line.series, []).append((line.value, 1 / line.rate))
        return found

    def _of(self, *kinds: str) -> Iterable[TaggedLine]:
        return (line for line in self.lines() if line.kind in kinds)
