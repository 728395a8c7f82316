"""An endpoint that sends each call to one of many."""

from __future__ import annotations

import copy
import logging
import random
from collections.abc import Callable
from typing import Any

from falconkit.clock import Clock, system_clock
from falconkit.context import ATTEMPT, INSTANCE, Asked, Context
from falconkit.errors import ConfigurationError
from falconkit.events import Events
from falconkit.naming import named
from falconkit.sd.chooser import Chooser
from falconkit.sd.endpointer import Endpointer
from falconkit.sd.entrance import Entrance, leave
from falconkit.sd.load import PeakEwma
from falconkit.sd.member import Member
from falconkit.sd.outliers import Outliers, answered, at_fault, was_sent
from falconkit.sd.policy import Observer, Policy

_LOG = logging.getLogger("falconkit.sd")

Part = Callable[[Any], Callable[[Any, Any], Any]]
Specimen = Callable[[], Callable[[Any, Any], Any]]


class Balancer:
    """An endpoint that sends each call to one of an `Endpointer`'s members.

    Tries nothing twice: that is a retry around it, and each try is sent to the member
    that is best then, of those that have not had this call yet. What was sent to nobody
    goes to another member at once: one that cannot be reached, or whose own layers refuse,
    as an open breaker does. That is no load for anybody, and takes nothing of a retry's budget.
    Who was asked is in the context of what stands inside (`falconkit.context.INSTANCE`),
    and in a note for what stands outside (`Asked`).

    >>> from falconkit.context import Asked
    >>> from falconkit.sd.static import Static
    >>> endpointer = Endpointer(
    ...     Static("10.0.0.1:80"), lambda instance: lambda ctx, request: request.upper()
    ... )
    >>> uppercase = Balancer(endpointer)
    >>> ctx = Context()
    >>> uppercase(ctx, "hi"), ctx.notes.of(Asked)
    ('HI', (Asked('10.0.0.1:80'),))
    >>> uppercase.close()

    Attributes:
        specimen: Makes an endpoint with the layers that stand around each member, for whoever
            reads how a call goes, and calls none; None where they are not known.

    Args:
        endpointer: Has the members.
        by: Chooses among them; `PeakEwma` when None.
        name: The endpoint's name; the service's when None.
        idempotent: What a retry around it is to know: whether a call that may have run
            may run again. None says nothing.
        outliers: When a member that fails is sent away; never when None.
        counts: Whether a failure counts against its member, see `at_fault`.
        slow_start: Seconds in which a member that came, or came back, takes up its share.
        panic: The share of well members under which all are used; 0 turns that off, so
            that a call is refused when none is well.
        zone: The client's zone, whose members are preferred; "" for none.
        events: Who hears of ejections; the call's own listeners when None.
        clock: Whose seconds these are.
        rng: Chance, for tests; when None each process has its own.

    Raises:
        ConfigurationError: A value cannot be used.
    """

    def __init__(
        self,
        endpointer: Endpointer,
        by: Policy | None = None,
        *,
        name: str | None = None,
        idempotent: bool | None = None,
        outliers: Outliers | None = Outliers(),  # noqa: B008 - it cannot be changed
        counts: Callable[[BaseException], bool] = at_fault,
        slow_start: float = 0.0,
        panic: float = 0.5,
        zone: str = "",
        events: Events | None = None,
        clock: Clock = system_clock,
        rng: random.Random | None = None,
    ) -> None:
        if not 0 <= panic <= 1 or not 0 <= slow_start <= 3600:
            raise ConfigurationError(
                f"panic is 0 to 1 and slow_start 0 to 3600 s, got {panic!r} and {slow_start!r}"
            )
        self._policy: Policy = PeakEwma() if by is None else by
        if not callable(getattr(self._policy, "over", None)):
            raise ConfigurationError(f"by= chooses a member, as RoundRobin() does, got {by!r}")
        self.__endpoint__ = name or endpointer.service
        named(self.__endpoint__)  # refuses what cannot be a name
        self.idempotent = idempotent
        self.service = endpointer.service
        self._endpointer = endpointer
        self.specimen: Specimen | None = None
        self._part: Part | None = None
        self._observe = self._policy.observe if isinstance(self._policy, Observer) else None
        self._counts = counts
        self._now = clock.monotonic
        self._chooser = Chooser(
            endpointer,
            self._policy,
            outliers=outliers,
            slow_start=slow_start,
            panic=panic,
            zone=zone,
            events=events,
            clock=clock,
            rng=rng,
        )
        self._pick = self._chooser.pick
        self._entrance = Entrance(self._pick, self._now)

    def __call__(self, ctx: Context, request: Any, /) -> Any:
        """Send the call to the member that is best now.

        Raises:
            NoInstance: There is none.
        """
        # PERF: adds 1.9 us by turns, 3.3 us by PeakEwma, of 1,000 members as of 3.
        part, entrance = self._part, self._entrance
        tried = () if ctx.get(ATTEMPT) is None else ctx.notes.of(Asked)
        started, member = entrance.enter(ctx, request, tried)
        while True:
            ctx.notes.leave(member.asked)
            try:
                endpoint = member.endpoint if part is None else part(member.endpoint)
                result = endpoint(ctx.having(INSTANCE, member.address), request)
            except BaseException as error:
                self._failed(ctx, member, started, error)
                tried = (*tried, member.asked)
                another = None if was_sent(error) else entrance.elsewhere(ctx, request, tried)
                if another is None:
                    raise
                started, member = another
                continue
            leave(member)
            if member.streak:
                member.streak = 0
            if self._observe is not None:
                now = self._now()
                self._observe(member, now - started, now, False)
            return result

    def through(
        self,
        part: Part,
        *,
        name: str | None = None,
        idempotent: bool | None = None,
        specimen: Specimen | None = None,
    ) -> Balancer:
        """Return a balancer over the same members that calls a part of each one's endpoint.

        For a service of several endpoints: what one call shows of an instance, by its
        latency or a failure, counts for all of them. `close` of any closes all.

        >>> from falconkit.sd.static import Static
        >>> words = {"upper": lambda ctx, word: word.upper(), "size": lambda ctx, word: len(word)}
        >>> both = Balancer(Endpointer(Static("10.0.0.1:80"), lambda instance: words))
        >>> upper = both.through(lambda endpoints: endpoints["upper"], name="upper")
        >>> size = both.through(lambda endpoints: endpoints["size"], name="size")
        >>> upper(Context(), "hi"), size(Context(), "hi")
        ('HI', 2)
        >>> both.close()

        Args:
            part: Given what the endpointer's factory made of an instance, returns what is called.
            name: The endpoint's name; this one's when None.
            idempotent: As in the class.
            specimen: As in the class.

        Raises:
            ConfigurationError: The name cannot be one.
        """
        made = copy.copy(self)
        made.__endpoint__ = name or self.__endpoint__
        named(made.__endpoint__)  # refuses what cannot be a name
        made.idempotent = idempotent
        made._part = part
        made.specimen = specimen
        return made

    def pick(self, ctx: Context, request: Any) -> Member:
        """Return the member that a call would be sent to now.

        Raises:
            NoInstance: There is none.
        """
        return self._pick(ctx, request, self._now())

    @property
    def members(self) -> tuple[Member, ...]:
        """The members as they are now, in the order of host and port."""
        return self._endpointer.roster().members

    @property
    def failure(self) -> Exception | None:
        """Why discovery fails, None while it works."""
        return self._endpointer.roster().failure

    def close(self) -> None:
        """Close the endpointer, and with it every member's endpoint."""
        self._endpointer.close()

    def status(self) -> list[dict[str, object]]:
        """Return what this process knows of each member, for people."""
        now = self._now()
        return [
            {
                "instance": each.address,
                "zone": each.instance.zone,
                "healthy": each.instance.healthy,
                "in_flight": each.in_flight,
                "latency": each.latency,
                "failures_in_a_row": each.streak,
                "ejected_for": max(0.0, each.ejected_until - now),
            }
            for each in self.members
        ]

    def __repr__(self) -> str:
        return f"Balancer({self.__endpoint__!r}, {self._policy!r})"

    def _failed(self, ctx: Context, member: Member, started: float, error: BaseException) -> None:
        leave(member)
        fault = self._is_fault(error)
        if not fault and not answered(error):
            return  # nothing was sent, or the caller gave up: it tells nothing of the member
        now = self._now()
        if self._observe is not None:
            self._observe(member, now - started, now, fault)
        if not fault:
            member.streak = 0
            return
        self._chooser.failed(ctx, member, now)

    def _is_fault(self, error: BaseException) -> bool:
        try:
            return self._counts(error)
        except Exception:
            _LOG.exception("counts= of %s failed on %r", self.__endpoint__, type(error))
            return False
