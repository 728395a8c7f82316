"""What keeps retries a small part of the calls, so that they cannot bring down what is slow."""

from __future__ import annotations

import math
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError
from falconkit.naming import inward

_SLOTS = 10


class Budget:
    """Retries up to a tenth of the last seconds' calls, or to a floor where those are few.

    When everything fails, three tries a call are three times the load; under
    this budget they are 1.1 times (Google's SRE book, "Handling Overload").
    Whoever is given it shares it: calls deposit, retries withdraw. It is the
    process' own, so each worker has one; their sum is under the same ratio.

    >>> budget = Budget(ratio=0.1, floor=0.0)
    >>> for _ in range(20):
    ...     budget.deposit()
    >>> budget.withdraw(), budget.withdraw(), budget.withdraw()
    (True, True, False)

    Args:
        ratio: Retries for each call.
        floor: Retries a second that there are for a few calls as well. The larger of the two
            counts, not their sum: from ``floor / ratio`` calls a second on it is the ratio.
        window: Seconds after which a call counts no more. The present tenth of
            it is under way, so that it is between nine tenths and all of this.
        clock: Whose seconds these are.

    Raises:
        ConfigurationError: A number cannot be used.
    """

    __slots__ = (
        "_calls",
        "_floor",
        "_lock",
        "_marks",
        "_now",
        "_ratio",
        "_refused",
        "_retries",
        "_slot",
        "_turns",
        "_window",
    )

    def __init__(
        self,
        ratio: float = 0.1,
        *,
        floor: float = 10.0,
        window: float = 10.0,
        clock: Clock = system_clock,
    ) -> None:
        if not 0 <= ratio <= 100:
            raise ConfigurationError(f"ratio is {ratio!r}: give retries a call, from 0 to 100")
        if not 0 <= floor < math.inf:
            raise ConfigurationError(f"floor is {floor!r}: give retries a second, 0 or more")
        if not 1 <= window <= 60:
            raise ConfigurationError(f"window is {window!r}: give seconds from 1 to 60")
        self._ratio = ratio
        self._floor = floor
        self._window = window
        self._slot = window / _SLOTS
        self._now = clock.monotonic
        self._turns = self._now() + self._slot
        self._lock = threading.Lock()
        # In a list, for `+=` on its item is one step for threads, see falconkit.arena.series.
        self._calls = [0]
        self._retries = 0
        self._refused = 0
        # What both were when each slot of the window began. They are never set back,
        # so a call that is counted while a slot turns is not lost.
        self._marks = deque([(0, 0)], maxlen=_SLOTS)

    def deposit(self) -> None:
        """Count a call, not its retries."""
        # PERF: 0.11 us without a lock; the lock of `withdraw` would double it.
        now = self._now()
        if now >= self._turns:
            with self._lock:
                self._turn(now)
        self._calls[0] += 1

    def withdraw(self) -> bool:
        """Take a retry, if there is one."""
        with self._lock:
            self._turn(self._now())
            calls, retries = self._marks[0]
            room = max(self._floor * self._window, self._ratio * (self._calls[0] - calls))
            # A millionth, lest rounding take the last one.
            if self._retries - retries + 1 > room + 1e-6:
                self._refused += 1
                return False
            self._retries += 1
            return True

    def status(self) -> dict[str, int]:
        """Return the calls and retries of the window, and how many retries were ever refused."""
        with self._lock:
            self._turn(self._now())
            calls, retries = self._marks[0]
            return {
                "calls": self._calls[0] - calls,
                "retries": self._retries - retries,
                "refused": self._refused,
            }

    def _turn(self, now: float) -> None:
        if now < self._turns:
            return
        slots = int((now - self._turns) / self._slot) + 1
        self._turns += slots * self._slot
        for _ in range(min(slots, _SLOTS)):
            self._marks.append((self._calls[0], self._retries))

    def __repr__(self) -> str:
        return f"Budget(ratio={self._ratio!r}, floor={self._floor!r}, window={self._window!r})"


def check_budget(budget: Budget | None) -> None:
    """Check what a middleware was given.

    Raises:
        ConfigurationError: It is no `Budget`.
    """
    if budget is not None and not isinstance(budget, Budget):
        raise ConfigurationError(f"budget={budget!r}: give a Budget, as Budget(ratio=0.1)")


def deposit_of(endpoint: Callable[..., Any], budget: Budget) -> Callable[[], None]:
    """Return what deposits a call of ``endpoint``: nothing when a layer within it does.

    Two layers over one call that share a budget must not count it twice.
    """
    within = any(getattr(each, "__budget__", None) is budget for each in inward(endpoint))
    return _nothing if within else budget.deposit


def _nothing() -> None:
    pass
