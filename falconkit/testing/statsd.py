"""A StatsD receiver for tests, and a parser as strict as the format."""

from __future__ import annotations

import re
import socket  # noqa: F401 - for the example
from collections.abc import Iterable
from dataclasses import dataclass

from falconkit.testing.datagrams import DatagramSink

# Value and rate in plain digits: daemons read an exponent each in its own way, or not.
_LINE = re.compile(
    r"(?P<name>[A-Za-z0-9_.-]+):(?P<value>[+-]?\d+(\.\d+)?)\|(?P<kind>c|g|ms|s)(\|@(?P<rate>[01](\.\d+)?))?"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a datagram.

    Attributes:
        name: The metric's.
        value: As sent; ``change`` tells how a gauge means it.
        kind: ``c``, ``g``, ``ms`` or ``s``.
        rate: The sample rate, 1.0 when none was sent.
        change: True for a gauge with a sign: it is added to what is there.
    """

    name: str
    value: float
    kind: str
    rate: float = 1.0
    change: bool = False


def parse(datagram: bytes) -> list[Line]:
    """Read the lines of a datagram.

    >>> parse(b"request.count:3|c")
    [Line(name='request.count', value=3.0, kind='c', rate=1.0, change=False)]

    Raises:
        ValueError: A line is not StatsD, or one that some daemon would misread.
    """
    return [_line(text) for text in datagram.decode("ascii").split("\n")]


def _line(text: str) -> Line:
    found = _LINE.fullmatch(text)
    rate = float(found["rate"] or 1) if found else 0.0
    if found is None or not 0 < rate <= 1 or (found["kind"] == "ms" and found["value"][0] == "-"):
        raise ValueError(f"not a line of StatsD: {text!r}")
    signed = found["kind"] == "g" and found["value"][0] in "+-"
    return Line(found["name"], float(found["value"]), found["kind"], rate, signed)


class StatsDSink(DatagramSink):
    """Receives on a UDP port of loopback, and adds up as the StatsD daemon does.

    >>> with StatsDSink() as sink:
    ...     sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    ...     _ = sender.sendto(b"hits:2|c|@0.5", ("127.0.0.1", sink.port))
    ...     sender.close()
    ...     sink.counters()
    {'hits': 4.0}

    Attributes:
        port: Where it listens.
    """

    def lines(self) -> list[Line]:
        """Return every line so far.

        Raises:
            ValueError: One of them is not StatsD.
        """
        return [line for datagram in self.datagrams() for line in parse(datagram)]

    def counters(self) -> dict[str, float]:
        """Return the counters' sums, scaled by their sample rates."""
        sums: dict[str, float] = {}
        for line in self._of("c"):
            sums[line.name] = sums.get(line.name, 0.0) + line.value / line.rate
        return sums

    def gauges(self) -> dict[str, float]:
        """Return the gauges as they stand; a signed value changes what is there."""
        now: dict[str, float] = {}
        for line in self._of("g"):
            now[line.name] = line.value + (now.get(line.name, 0.0) if line.change else 0.0)
        return now

    def timings(self) -> dict[str, list[tuple[float, float]]]:
        """Return each timer's values, in milliseconds, with what each of them counts for."""
        found: dict[str, list[tuple[float, float]]] = {}
        for line in self._of("ms"):
            found.setdefault(line.name, []).append((line.value, 1 / line.rate))
        return found

    def _of(self, kind: str) -> Iterable[Line]:
        return (line for line in self.lines() if line.kind == kind)
