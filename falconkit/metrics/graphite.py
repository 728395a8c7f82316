"""Show metrics to Graphite, by carbon's plaintext protocol or its pickled one."""

from __future__ import annotations

import pickle
import re
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Final, Literal

from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError, UpstreamUnavailable
from falconkit.metrics.paths import NameOf, Paths, dotted
from falconkit.metrics.sample import Kind, Labels, Sample
from falconkit.timed import Timed

Protocol = Literal["plaintext", "pickle"]

_PORTS: Final = {"plaintext": 2003, "pickle": 2004}
_PREFIX: Final = re.compile(r"[A-Za-z0-9_.-]{0,128}")
_AT_ONCE: Final = 500
"""Points in one pickle: carbon takes a megabyte."""
_PATIENCE: Final = 1.0


class Graphite:
    """A backend that shows totals to carbon, for `Metrics.add_backend`.

    Carbon keeps one value of a path for each of its steps, and cannot add up what several
    workers send: it gets the totals of the host, from one worker an interval. So a
    point that was lost on its way, or repeated, spoils nothing. In Graphite
    ``perSecond(request.count)`` is the rate, whatever was started anew in between.

    >>> Graphite("127.0.0.1", prefix="shop.web-1").interval
    10.0
    >>> Graphite("127.0.0.1", protocol="http")
    Traceback (most recent call last):
    falconkit.errors.ConfigurationError: carbon's protocol is 'plaintext' or 'pickle', got 'http'
    """

    name = "graphite"

    def __init__(
        self,
        host: str | None,
        port: int | None = None,
        prefix: str | None = None,
        *,
        protocol: Protocol = "plaintext",
        interval: float = 10.0,
        name_of: NameOf = dotted,
        clock: Clock = system_clock,
    ) -> None:
        """Say where to send. Nothing is looked up or opened before the first `show`.

        Args:
            host: A name or an address; None or ``""``: nothing is sent.
            port: Its TCP port; when None 2003, or 2004 for pickles.
            prefix: Put before every path, with a dot. No two hosts may have the same, for
                one would overwrite the other: the host's name when None.
            protocol: ``plaintext`` or ``pickle``, which has less to parse.
            interval: Seconds between two points, as in carbon's storage-schemas.conf.
            name_of: The rule by which labels become paths: `paths.dotted`, `paths.tagged`,
                or one of your own.
            clock: What time is read from.

        Raises:
            ConfigurationError: A value cannot be used.
        """
        if protocol not in _PORTS:
            raise ConfigurationError(
                f"carbon's protocol is 'plaintext' or 'pickle', got {protocol!r}"
            )
        port = _PORTS[protocol] if port is None else port
        prefix = socket.gethostname().replace(".", "_") if prefix is None else prefix.rstrip(".")
        if not 1 <= port <= 65535:
            raise ConfigurationError(f"carbon's port is from 1 to 65535, got {port}")
        if not _PREFIX.fullmatch(prefix):
            raise ConfigurationError(
                "a path's prefix is at most 128 letters, digits, '_', '-' and '.', "
                f"got {prefix!r:.200}"
            )
        if not interval > 0:
            raise ConfigurationError(f"give interval > 0, got {interval}")
        self.interval = interval
        self._host, self._port, self._prefix = host, port, f"{prefix}." if prefix else ""
        self._pack = _plaintext if protocol == "plaintext" else _pickled
        self._paths = Paths(name_of)
        self._clock = clock

    @property
    def prefix(self) -> str:
        """What stands before every path, without its dot."""
        return self._prefix.removesuffix(".")

    def names(self, name: str, labels: Labels) -> list[str]:
        """Return the paths under which a series is counted, the prefix left out.

        >>> Graphite("127.0.0.1").names("request.count", (("endpoint", "add"),))
        ['request.count', 'request.count.add']
        """
        return self._paths.names(name, labels)

    def check(self, kind: Kind, name: str, labels: tuple[str, ...], /) -> None:
        """Refuse a metric whose path would be another's too.

        Raises:
            ConfigurationError: Both would write to one path.
        """
        self._paths.check(kind, name, labels)

    def show(self, samples: Sequence[Sample], lately: Sequence[Sample], /) -> None:
        """Send the totals, and the quantiles of lately.

        Raises:
            UpstreamUnavailable: Carbon did not take all of it.
        """
        if not self._host:
            return
        at = int(self._clock.time())
        points = [(self._prefix + path, n) for path, n in self._paths.points(samples, lately)]
        try:
            with socket.create_connection((self._host, self._port), _PATIENCE) as connection:
                connection.sendall(b"".join(self._pack(points, at)))
                # Carbon closes its end when it has read all that there was.
                connection.shutdown(socket.SHUT_WR)
                with Timed(connection) as rest:
                    while rest.read(4096):
                        pass
        except (OSError, UnicodeError) as ex:
            raise UpstreamUnavailable(
                f"carbon at {self._host!r}, port {self._port}: {ex}", upstream=self.name
            ) from ex

    def close(self) -> None:
        """Nothing: no connection is kept."""


def _plaintext(points: Sequence[tuple[str, float]], at: int) -> Iterator[bytes]:
    yield "".join(f"{path} {value!r} {at}\n" for path, value in points).encode()


def _pickled(points: Sequence[tuple[str, float]], at: int) -> Iterator[bytes]:
    for first in range(0, len(points), _AT_ONCE):
        some = [(path, (at, value)) for path, value in points[first : first + _AT_ONCE]]
        payload = pickle.dumps(some, protocol=2)
        yield struct.pack("!L", len(payload)) + payload
