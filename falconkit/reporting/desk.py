"""Where reports go over the desk: few of a kind, few at a time, and whatever the hook does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Hashable
from typing import Final

from falconkit.clock import Clock
from falconkit.reporting.outbox import LAST_FLUSH, Outbox
from falconkit.reporting.repeats import Repeats
from falconkit.reporting.report import Report

Hook = Callable[[Report], object]
"""``(report) -> anything``: what you give. If it has a ``close()``, that is called at the end."""

_LOG = logging.getLogger("falconkit.reporting")
_MINUTE: Final = 60.0


class Desk:
    """Gives a hook its reports, at once or from a thread; what the hook raises stays here.

    Attributes:
        counts: Of this process, see `falconkit.reporting.Reporter.counts`.
        count: Told of each of them as it happens.

    Args:
        hook: Takes a `Report`.
        inline: Whether to call it at once.
        most: How many may wait for it.
        per_minute: How many of one kind it gets in a minute.
        clock: Whose minutes.
    """

    def __init__(
        self, hook: Hook, *, inline: bool, most: int, per_minute: int, clock: Clock
    ) -> None:
        self.counts = {"reported": 0, "repeated": 0, "dropped": 0, "failed": 0}
        self.count: Callable[[str, int], None] = lambda what, how_many: None
        self._hook, self._inline, self._clock = hook, inline, clock
        self._repeats = Repeats(per_minute, clock)
        self._box = Outbox("falconkit-errors", self._hand_over, most=most, last=self._close_hook)
        self._lock = threading.RLock()
        self._inside = threading.local()
        self._complained: dict[str, float] = {}

    def offer(self, kind: Hashable, make: Callable[[int], Report]) -> None:
        """Report what ``make`` makes, unless there were many of its kind. Never raises.

        Args:
            kind: What makes two of them alike.
            make: Is told how many were held back, and returns the report.
        """
        if getattr(self._inside, "hook", False):
            return  # the hook's own troubles would never end
        try:
            repeated = self._repeats.admit(kind)
            if repeated is None:
                self._add("repeated")
                return
            report = make(repeated)
            if self._inline:
                self._hand_over(report)
            elif not self._box.put(report):
                self._add("dropped")
                self._complain("error reports are dropped: too many wait for the hook %r")
        except Exception:
            self._failed("an error could not be made a report for %r")

    def close(self) -> None:
        """Hand over what waits, at most 2 s; what comes later is dropped."""
        if self._inline:
            self._close_hook()
            return
        left = self._box.close()
        if left:
            self._add("dropped", left)
            _LOG.warning(
                "%r took over %g s at the end: %d error reports are given up",
                self._hook,
                LAST_FLUSH,
                left,
            )

    def _hand_over(self, report: Report) -> None:
        self._inside.hook = True
        try:
            self._hook(report)
        except Exception:
            self._failed("the error hook %r failed")
        else:
            self._add("reported")
        finally:
            self._inside.hook = False

    def _close_hook(self) -> None:
        close = getattr(self._hook, "close", None)
        if not callable(close):
            return
        try:
            close()
        except Exception:
            self._failed("the error hook %r could not be closed")

    def _failed(self, words: str) -> None:
        self._add("failed")
        self._complain(words, with_traceback=True)

    def _complain(self, words: str, *, with_traceback: bool = False) -> None:
        now = self._clock.monotonic()
        with self._lock:
            last = self._complained.get(words)
            if last is not None and now - last < _MINUTE:
                return
            self._complained[words] = now
        _LOG.error(words, self._hook, exc_info=with_traceback)

    def _add(self, what: str, how_many: int = 1) -> None:
        with self._lock:
            self.counts[what] += how_many
        try:
            self.count(what, how_many)
        except Exception:
            _LOG.exception("%d error reports %s could not be counted", how_many, what)
