"""Virtual time for threads that wait, and a backend in it that can fail."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from falconkit import Context
from falconkit.errors import UpstreamTimeout, UpstreamUnavailable


class Over(BaseException):
    """The simulated time has come to its end."""


class Waiter:
    """One who waits, once: until somebody hands on to him."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.lock.acquire()
        self.gone = False


class World:
    """Virtual time: a `falconkit.clock.Clock` for threads that run one at a time."""

    def __init__(self, end: float) -> None:
        self._end = end
        self._now = 0.0
        self._numbers = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None] | Waiter]] = []
        self._over = False
        self._threads: list[threading.Thread] = []

    def monotonic(self) -> float:
        """Return the seconds since it began."""
        return self._now

    def time(self) -> float:
        """Return the wall clock's seconds."""
        return 1_700_000_000.0 + self._now

    def sleep(self, seconds: float, /) -> None:
        """Let others go on for so many seconds."""
        self.wait(Waiter(), seconds)

    def at(self, when: float, what: Callable[[], None] | Waiter) -> None:
        """Let something happen, or somebody go on, at a time."""
        heapq.heappush(self._due, (when, next(self._numbers), what))

    def wait(self, me: Waiter, seconds: float) -> None:
        """Wait until it is woken, or the time has passed."""
        self.at(self._now + seconds, me)
        self._hand_on(me)

    def wake(self, waiter: Waiter) -> None:
        """Let one who waits go on now."""
        self.at(self._now, waiter)

    def spawn(self, run: Callable[[], None], start: float) -> None:
        """Run a client from ``start`` on."""
        first = Waiter()

        def client() -> None:
            try:
                first.lock.acquire()
                if not self._over:
                    run()
            except Over:
                pass
            self._hand_on(None)

        self.at(start, first)
        self._threads.append(threading.Thread(target=client, daemon=True))

    def run(self) -> None:
        """Let time pass until its end."""
        for thread in self._threads:
            thread.start()
        me = Waiter()
        self.at(self._end, me)
        try:
            self._hand_on(me)
        except Over:
            self._hand_on(None)  # each that was waiting, to its end
        for thread in self._threads:
            thread.join()

    def _hand_on(self, me: Waiter | None) -> None:
        """Let whoever is next go on; returns when that is the one who asks."""
        while self._due:
            when, _, what = heapq.heappop(self._due)
            self._now = max(self._now, when)
            if when >= self._end:
                self._over = True
            if not isinstance(what, Waiter):
                if not self._over:
                    what()
            elif not what.gone:
                what.gone = True
                if what is not me:
                    what.lock.release()
                    if me is None:
                        return
                    me.lock.acquire()
                break
        if me is not None and self._over:
            raise Over


@dataclass(eq=False)
class Request:
    """One try, as the backend has it."""

    caller: Waiter
    answered: bool = False


class Backend:
    """Serves ``servers`` requests at a time; what comes beyond them waits in a bounded backlog.

    It is a plain one: it serves in the order of coming, and does not know who has given up.
    While it is down it takes requests and answers none, or, when it ``refuses``, takes none;
    what was under way is lost.
    """

    idempotent = True

    def __init__(
        self, world: World, *, servers: int, seconds: float, backlog: int, refuses: bool = False
    ) -> None:
        self._world = world
        self._servers = servers
        self._seconds = seconds
        self._backlog = backlog
        self._refuses = refuses
        self._queue: deque[Request] = deque()
        self._busy = 0
        self._life = 0
        self._down = False
        self.asked: Counter[int] = Counter()

    def __call__(self, ctx: Context, request: object, /) -> str:
        """Serve a try, or let its caller wait until his deadline."""
        world = self._world
        now = world.monotonic()
        self.asked[int(now)] += 1
        if self._down and self._refuses:
            raise UpstreamUnavailable("the backend cannot be reached", upstream="backend")
        asked = Request(Waiter())
        if len(self._queue) < self._backlog:
            self._queue.append(asked)
            self._serve()
        assert ctx.deadline is not None
        world.wait(asked.caller, ctx.deadline - now)
        if not asked.answered:
            raise UpstreamTimeout("the backend did not answer in time", upstream="backend")
        return "good"

    def fail(self) -> None:
        """Go down."""
        self._down = True
        self._life += 1
        self._busy = 0

    def come_back(self) -> None:
        """Serve again, what waits first."""
        self._down = False
        self._serve()

    def _serve(self) -> None:
        while not self._down and self._busy < self._servers and self._queue:
            self._busy += 1
            done = partial(self._answer, self._queue.popleft(), self._life)
            self._world.at(self._world.monotonic() + self._seconds, done)

    def _answer(self, request: Request, life: int) -> None:
        if life != self._life:
            return
        self._busy -= 1
        if not request.caller.gone:
            request.answered = True
            self._world.wake(request.caller)
        self._serve()
