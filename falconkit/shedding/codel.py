"""Refuse what waited too long in the queue before us."""

from __future__ import annotations

from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError


class CoDel:
    """Tells a queue that never empties from a burst, by the time that calls waited in it.

    A burst waits, too, but soon somebody in it has waited little. Where for an
    ``interval`` nobody waited less than ``target``, the queue stands; then
    whoever waited longer than ``target`` is refused, so that those who come
    now are served at once. Whoever waited longer than ``interval`` is refused
    always: his caller has gone, or will have when the answer is there.

    After Nichols and Jacobson, "Controlling Queue Delay" (ACM Queue, 2012; RFC 8289),
    as Maurer, "Fail at Scale" (ACM Queue, 2015), has it for servers, with
    5 ms and 100 ms. Those are for a queue in the process itself. Before us is a
    router with a clock of its own, so the defaults are larger.

    >>> queue = CoDel(target=0.1, interval=1.0)
    >>> queue.refuses(0.3), queue.refuses(5.0)
    (False, True)
    """

    def __init__(
        self, target: float = 0.1, interval: float = 1.0, *, clock: Clock = system_clock
    ) -> None:
        """Know of no queue yet.

        Args:
            target: Seconds that calls may wait in a queue that stands.
            interval: Seconds that a burst may last, and that any call may wait.
            clock: Whose seconds these are.

        Raises:
            ConfigurationError: It is not so that ``0 < target < interval``.
        """
        if not 0 < target < interval < float("inf"):
            raise ConfigurationError(
                f"target={target!r}, interval={interval!r}: give seconds, 0 < target < interval"
            )
        self.target = target
        self.interval = interval
        self._now = clock.monotonic
        self._over_since: float | None = None
        self._seen = 0.0

    def refuses(self, waited: float, *, spare: bool = False) -> bool:
        """Tell whether a call that waited so many seconds is to be refused.

        Args:
            waited: What it waited.
            spare: Refuse it only if it waited longer than ``interval``. For calls that go
                last, and when nothing else is in flight: an idle server is no queue's cause.
        """
        # No lock: two threads at once may set the same moment twice, and no more.
        now = self._now()
        if waited <= self.target:
            self._over_since = None
            self._seen = now
            return False
        since = self._over_since
        if since is None or now - self._seen > self.interval:
            since = self._over_since = now
        self._seen = now
        if waited > self.interval:
            return True
        return not spare and now - since >= self.interval

    def __repr__(self) -> str:
        return f"CoDel(target={self.target:g}, interval={self.interval:g})"
