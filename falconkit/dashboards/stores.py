"""Where Graphite has the metrics of an app: sent by us, or by a StatsD daemon on our behalf."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from falconkit.errors import ConfigurationError
from falconkit.metrics.sample import Labels

LEGACY: Final = "legacy"
"""How StatsD's daemon names what it sends unless ``legacyNamespace: false`` is in its settings."""


class Named(Protocol):
    """A backend that makes paths of series: `StatsD`, `Graphite`."""

    @property
    def prefix(self) -> str:
        """What stands before every path, without its dot."""

    def names(self, name: str, labels: Labels) -> list[str]:
        """Return the paths of a series, the prefix left out."""


class Store(Protocol):
    """What Graphite makes of a path that a backend gave it."""

    seconds: str
    """The unit of a histogram of seconds: ``s`` or ``ms``."""

    def rate(self, path: str, /) -> str:
        """Return what a counter grows by in a second."""

    def level(self, path: str, /) -> str:
        """Return what a gauge says."""

    def quantile(self, path: str, q: float, /) -> str | None:
        """Return a quantile of a histogram; None when there is no such one."""


class ThroughStatsD:
    """Graphite behind a StatsD daemon, whose own settings are in the paths.

    >>> legacy = ThroughStatsD("shop")
    >>> legacy.rate("request.count"), legacy.level("request.in_flight")
    ('stats.shop.request.count', 'stats.gauges.shop.request.in_flight')
    >>> ThroughStatsD("shop", namespace="stats").rate("request.count")
    'stats.counters.shop.request.count.rate'
    >>> ThroughStatsD("shop", namespace="").quantile("request.seconds.add", 0.9)
    'timers.shop.request.seconds.add.upper_90'

    Args:
        prefix: The backend's.
        namespace: ``legacy``, the daemon's default; or with ``legacyNamespace: false`` its
            ``globalPrefix``, which is ``stats`` unless it says otherwise, and may be ``""``.
        percentiles: The daemon's ``percentThreshold``; the median is always there.

    Raises:
        ConfigurationError: A percentile is none.
    """

    seconds = "ms"

    def __init__(
        self, prefix: str, *, namespace: str = LEGACY, percentiles: Sequence[float] = (90,)
    ) -> None:
        if not all(0 < each < 100 for each in percentiles):
            raise ConfigurationError(f"percentiles are over 0 and under 100, got {percentiles!r}")
        self._legacy = namespace == LEGACY
        self._root = "stats" if self._legacy else namespace.strip(".")
        self._prefix, self._percentiles = prefix, tuple(percentiles)

    def rate(self, path: str, /) -> str:
        """Return what a counter grows by in a second, which the daemon works out."""
        if self._legacy:
            return _joined(self._root, self._prefix, path)
        return _joined(self._root, "counters", self._prefix, path, "rate")

    def level(self, path: str, /) -> str:
        """Return what a gauge says."""
        return _joined(self._root, "gauges", self._prefix, path)

    def quantile(self, path: str, q: float, /) -> str | None:
        """Return a quantile of a histogram; None when the daemon does not work it out."""
        if q == 0.5:
            what = "median"
        elif any(abs(each - 100 * q) < 1e-9 for each in self._percentiles):
            what = f"upper_{100 * q:g}".replace(".", "_")
        else:
            return None
        return _joined(self._root, "timers", self._prefix, path, what)


class Direct:
    """Graphite as `falconkit.metrics.graphite.Graphite` sends to it: counters are totals.

    >>> Direct("shop.*").rate("request.count.add.ok")
    'perSecond(shop.*.request.count.add.ok)'

    Args:
        prefix: The backend's; ``*`` in it stands for every host.
    """

    seconds = "s"

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def rate(self, path: str, /) -> str:
        """Return what a counter grows by in a second, right over restarts and lost points."""
        return f"perSecond({_joined(self._prefix, path)})"

    def level(self, path: str, /) -> str:
        """Return what a gauge says."""
        return _joined(self._prefix, path)

    def quantile(self, path: str, q: float, /) -> str | None:
        """Return a quantile of a histogram; all that are asked for are sent."""
        return _joined(self._prefix, path, f"p{100 * q:g}")


def _joined(*parts: str) -> str:
    return ".".join(each for each in parts if each)
