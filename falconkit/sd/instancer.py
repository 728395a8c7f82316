"""Who says which instances there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from falconkit.sd.instance import Instance


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that is known of a service at one moment.

    Attributes:
        instances: The whole set, ordered by host and port; no address twice. While
            discovery fails it is the last one that was known.
        failure: Why discovery fails at present, None while it works.
    """

    instances: tuple[Instance, ...] = ()
    failure: Exception | None = None


Listener = Callable[[Snapshot], None]


class Instancer(Protocol):
    """Says which instances of one service there are, and tells changes.

    Made without opening anything; a process forked later looks for itself.
    `falconkit.testing.conform_instancer` is the suite that every one passes.
    """

    def listen(self, listener: Listener, /) -> None:
        """Call ``listener`` with what is known, now or as soon as it is, then with each change.

        It is called by one thread at a time, in order, and must not wait: others
        are told after it. A change is another set, a failure, or its end; nothing
        is told where nothing changed.
        """

    def forget(self, listener: Listener, /) -> None:
        """Call it no more."""

    def close(self) -> None:
        """Stop looking: no thread, socket or file is left. The second time does nothing."""
