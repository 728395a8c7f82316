"""A set of instances that never changes."""

from __future__ import annotations

from falconkit.errors import ConfigurationError
from falconkit.sd.discovery import settle
from falconkit.sd.instance import Instance
from falconkit.sd.instancer import Listener, Snapshot


class Static:
    """An `Instancer` that knows its instances from the start.

    >>> heard = []
    >>> Static("10.0.0.2:8000", "10.0.0.1:8000").listen(heard.append)
    >>> [instance.address for instance in heard[0].instances]
    ['10.0.0.1:8000', '10.0.0.2:8000']

    Args:
        *instances: Each an `Instance`, or ``host:port``.

    Raises:
        ConfigurationError: There is none, or one cannot be read.
    """

    def __init__(self, *instances: Instance | str) -> None:
        if not instances:
            raise ConfigurationError("a static set has at least one instance: give host:port")
        given = [Instance.parse(each) if isinstance(each, str) else each for each in instances]
        self._snapshot = Snapshot(settle(given, len(given))[0])

    def listen(self, listener: Listener, /) -> None:
        """Call ``listener`` at once, this one time."""
        listener(self._snapshot)

    def forget(self, listener: Listener, /) -> None:
        """Do nothing: it is not called again anyway."""

    def close(self) -> None:
        """Do nothing: there is nothing open."""

    def __repr__(self) -> str:
        return f"Static({', '.join(repr(each.address) for each in self._snapshot.instances)})"
