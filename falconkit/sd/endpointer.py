"""One endpoint for each instance that discovery knows of."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass

from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError, NoInstance
from falconkit.events import (
    DiscoveryLost,
    DiscoveryRecovered,
    Event,
    Events,
    InstancesChanged,
)
from falconkit.sd.instance import Instance
from falconkit.sd.instancer import Instancer, Snapshot
from falconkit.sd.member import Factory, Member
from falconkit.sd.process import PerProcess
from falconkit.sd.telling import tell

Narrow = Callable[[tuple[Instance, ...]], tuple[Instance, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Roster:
    """The members at one moment.

    Attributes:
        members: In the order of host and port.
        until: When it is no longer to be believed, since discovery fails; else infinity.
        failure: Why discovery fails, None while it works.
        heard: False until discovery has answered for the first time.
    """

    members: tuple[Member, ...] = ()
    until: float = math.inf
    failure: Exception | None = None
    heard: bool = False


class Endpointer:
    """Keeps an endpoint for each instance, made by a factory, closed when the instance goes.

    It is made by the first call of its instance. One that has a ``close`` is closed when its
    instance has left and its last call has ended. While discovery fails, the last known
    set is served, and `DiscoveryLost` says so; an endpoint is never closed for that.

    >>> from falconkit import Context
    >>> from falconkit.sd.static import Static
    >>> def factory(instance):
    ...     return lambda ctx, request: f"{request} of {instance.address}"
    >>> endpointer = Endpointer(Static("10.0.0.1:80", "10.0.0.2:80"), factory)
    >>> [each.endpoint(Context(), "hi") for each in endpointer.roster().members]
    ['hi of 10.0.0.1:80', 'hi of 10.0.0.2:80']
    >>> endpointer.close()

    Args:
        instancer: Says which instances there are. It is closed by who made it.
        factory: Makes an instance's endpoint, one at a time. Where it raises, that is logged,
            and a call fails as one of an instance that cannot be reached.
        service: The service's name in events and logs.
        stale_for: Seconds for which the last known set is served while discovery fails;
            for ever when None: instances that were well a minute ago are better than none.
        first_wait: Seconds that the first calls wait for discovery's first answer.
        narrow: Chooses of the instances, see `subset`.
        events: Who hears of it; the log when None.
        clock: Whose seconds these are.

    Raises:
        ConfigurationError: A value cannot be used.
    """

    def __init__(
        self,
        instancer: Instancer,
        factory: Factory,
        *,
        service: str = "service",
        stale_for: float | None = None,
        first_wait: float = 1.0,
        narrow: Narrow | None = None,
        events: Events | None = None,
        clock: Clock = system_clock,
    ) -> None:
        if (stale_for is not None and not stale_for >= 0) or not 0 <= first_wait <= 60:
            raise ConfigurationError(
                "stale_for is 0 s or more, or None, and first_wait 0 to 60 s, "
                f"got {stale_for!r} and {first_wait!r}"
            )
        if not callable(factory):
            raise ConfigurationError(f"a factory makes an instance's endpoint, got {factory!r}")
        self.service = service
        self.events = events
        self._instancer, self._factory = instancer, factory
        self._stale_for = math.inf if stale_for is None else stale_for
        self._first_wait = first_wait
        self._narrow = narrow
        self._clock = clock
        self._closed = False
        self._here = PerProcess(Live)

    def roster(self) -> Roster:
        """Return the members as they are now; never waits."""
        return self.live().roster

    def live(self) -> Live:
        """Return what always has this process's present members; never waits."""
        here = self._here.get()
        if not here.begun:
            self._begin(here)
        return here

    def believed(self, seconds: float = math.inf) -> Roster:
        """Return the members, having waited for discovery's first answer if need be.

        Args:
            seconds: How long it waits at most; ``first_wait`` when that is shorter.

        Raises:
            NoInstance: There are none, or discovery has failed for longer than ``stale_for``.
        """
        roster = self.roster()
        if not roster.heard and not self._closed:
            self.live().answered.wait(max(0.0, min(seconds, self._first_wait)))
            roster = self.roster()
        if not roster.members or self._clock.monotonic() >= roster.until:
            raise NoInstance(retry_after=1.0) from roster.failure
        return roster

    def close(self) -> None:
        """Stop listening and close every endpoint; one that is in use when its call ends."""
        already, self._closed = self._closed, True
        here = self._here.found()
        if here is None or already:
            return
        self._instancer.forget(here.hear)
        with here.lock:
            members, here.roster = here.roster.members, Roster(heard=True)
            here.members = {}
        for member in members:
            member.retire()

    def _begin(self, here: Live) -> None:
        with here.lock:
            if here.begun or self._closed:
                return
            here.hear = lambda snapshot: self._hear(here, snapshot)
            here.begun = True
        # Without the lock: the instancer holds its own when it calls `hear`, which takes this one.
        try:
            self._instancer.listen(here.hear)
        except BaseException:
            here.begun = False
            raise
        if self._closed:
            self._instancer.forget(here.hear)

    def _hear(self, here: Live, snapshot: Snapshot) -> None:
        with here.lock:
            if self._closed:
                return
            before = here.roster
            now = self._clock.monotonic()
            gone, news = self._settle(here, snapshot, now)
            until = math.inf
            if snapshot.failure is not None:
                # The first failure alone counts: a later one does not make it fresher.
                until = now + self._stale_for if before.failure is None else before.until
            # One store: whoever reads has the old set or the new one.
            here.roster = Roster(tuple(here.members.values()), until, snapshot.failure, heard=True)
        here.answered.set()
        for member in gone:
            member.retire()
        for event in (*news, *self._told(before.failure, snapshot.failure)):
            tell(self.events, event)

    def _settle(
        self, here: Live, snapshot: Snapshot, now: float
    ) -> tuple[list[Member], list[Event]]:
        """Make the members fit the snapshot; returns those that left, and what to tell."""
        wanted = self._narrow(snapshot.instances) if self._narrow else snapshot.instances
        before, members, made = here.members, {}, 0
        since = now if before else -math.inf
        for instance in wanted:
            address = instance.address
            member = before.get(address)
            if member is None:
                member = Member(instance, self._factory, since=since, making=here.making)
                made += 1
            member.instance = instance
            members[address] = member
        here.members = members
        gone = [member for address, member in before.items() if address not in members]
        if not made and not gone:
            return [], []
        return gone, [InstancesChanged(self.service, made, len(gone), len(members))]

    def _told(self, before: Exception | None, now: Exception | None) -> list[Event]:
        if now is not None and before is None:
            return [DiscoveryLost(self.service, f"{type(now).__name__}: {now}"[:500])]
        if now is None and before is not None:
            return [DiscoveryRecovered(self.service)]
        return []


class Live:
    """The members of one process.

    Attributes:
        roster: The present ones: another object when anything has changed.
        answered: Set once discovery has answered for the first time.
        making: Held while an endpoint is made: by a call, which must not hold up discovery.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.making = threading.Lock()
        self.begun = False
        self.answered = threading.Event()
        self.hear: Callable[[Snapshot], None] = lambda snapshot: None
        self.members: dict[str, Member] = {}
        self.roster = Roster()
