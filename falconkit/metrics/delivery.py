"""The flush thread: one a worker, started on the first count after the fork."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Callable, Iterable
from functools import partial

from falconkit.events import BackendFailed, Event, Events
from falconkit.metrics.backend import Backend, TotalBackend
from falconkit.metrics.sample import Sample, merged
from falconkit.metrics.turns import Shown

_LOG = logging.getLogger("falconkit.metrics")
_LAST_FLUSH = 2.0
"""Seconds that a stopping worker waits for its last flush."""

Take = Callable[[Callable[[list[Sample]], bool]], None]
"""Calls with what is unsent, and marks it as sent when the callee says True."""


class _Route:
    """A backend, what it has still to get besides what is unsent, and whether it fails."""

    def __init__(self, backend: Backend) -> None:
        self.backend = backend
        self.owed: list[Sample] = []
        self.failing = False


class Delivery:
    """Hands what was counted to the backends, at an interval and once more at the end.

    What no backend has taken stays in the arena, so that not even a killed
    worker loses it. What some have taken and others not is kept in memory for the
    others. Killed between a send and its mark, a worker's last interval is
    sent again by its successor: an interval may arrive twice, and is never lost.
    """

    def __init__(self, take: Take, events: Events) -> None:
        self._take, self._events = take, events
        self._routes: list[_Route] = []
        self._shown: list[Shown] = []
        self._process: _Process | None = None
        self._opened_by = 0
        self._pid = os.getpid()
        self._lock = threading.Lock()

    def add(self, backend: Backend) -> None:
        """Send to ``backend`` too, from the next flush on."""
        self._routes.append(_Route(backend))
        if self._opened_by == os.getpid():
            self._start()

    @property
    def shown(self) -> int:
        """How many backends of totals there are."""
        return len(self._shown)

    def add_shown(self, shown: Shown) -> None:
        """Show totals too, from the next flush on."""
        self._shown.append(shown)
        if self._opened_by == os.getpid():
            self._start()

    @property
    def interval(self) -> float:
        """The shortest interval of the backends, in seconds."""
        return min(each.backend.interval for each in self._all())

    def opened(self) -> None:
        """Hear that this process counts for the first time: from now on there is what to send."""
        self._opened_by = os.getpid()
        self._start()

    def _start(self) -> None:
        self._settle()
        for shown in self._shown:
            self._guarded(shown, shown.begin)
        if not self._all():
            return
        if self._process is None or self._process.pid != os.getpid():
            self._process = _Process(self)
            self._process.thread.start()
            atexit.register(self.close)

    def _settle(self) -> None:
        """Begin anew after a fork."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            # Some thread of the parent may have held the old one, which then stays held.
            self._lock = threading.Lock()
            for route in self._routes:
                route.owed = []  # the parent's to send

    def flush(self, *, when_due: bool = False) -> None:
        """Send now what is unsent. Never raises: what fails is sent with the next interval.

        Args:
            when_due: Show totals only if their interval is over.
        """
        # PERF: of 1,000 series, 100 of them histograms with 10 new values each: 4 ms to read, and
        # 3 to 5 for a backend of differences; docs/concerns/metrics.md has the table.
        self._settle()
        with self._lock:
            if self._routes:
                try:
                    self._take(self._hand_out)
                except Exception:
                    _LOG.exception("metrics could not be read for sending; trying again")
            for shown in self._shown:
                self._guarded(shown, partial(shown.show, when_due=when_due))

    def close(self) -> None:
        """Flush once more and end the thread; waits 2 s for it at most."""
        process, self._process = self._process, None
        if process is not None and process.pid == os.getpid():
            atexit.unregister(self.close)
            process.stop.set()
            process.thread.join(_LAST_FLUSH)
            if process.thread.is_alive():
                _LOG.warning("the last flush of metrics took over %g s: given up", _LAST_FLUSH)
                return
        for each in self._all():
            each.backend.close()

    @property
    def backends(self) -> tuple[Backend | TotalBackend, ...]:
        """Where it hands to."""
        return tuple(each.backend for each in self._all())

    def _all(self) -> list[_Route | Shown]:
        return [*self._routes, *self._shown]

    def _hand_out(self, fresh: list[Sample]) -> bool:
        missed = [route for route in self._routes if not self._send(route, fresh)]
        if len(missed) == len(self._routes):
            return False
        for route in missed:
            route.owed = _amounts(merged([*route.owed, *_amounts(fresh)]).values())
        return True

    def _send(self, route: _Route, fresh: list[Sample]) -> bool:
        samples = list(merged([*route.owed, *fresh]).values()) if route.owed else fresh
        sent = self._guarded(route, partial(route.backend.send, samples))
        if sent:
            route.owed = []
        return sent

    def _guarded(self, route: _Route | Shown, send: Callable[[], None]) -> bool:
        try:
            send()
        except Exception as ex:
            self._failed(route, str(ex) or repr(ex))
            return False
        if route.failing:
            route.failing = False
            _LOG.info("%s takes metrics again", route.backend.name)
        return True

    def _failed(self, route: _Route | Shown, cause: str) -> None:
        if route.failing:
            return
        route.failing = True
        name = route.backend.name
        tell(
            self._events,
            BackendFailed(name, cause),
            f"metrics are not sent to {name}, trying again: {cause}",
        )


def tell(events: Events, event: Event, warning: str) -> None:
    """Tell an event to who listens, which is whoever logs events; else warn in the log."""
    if events:
        events.tell(event)
    else:
        _LOG.warning("%s", warning)


def _amounts(samples: Iterable[Sample]) -> list[Sample]:
    return [sample for sample in samples if sample.kind != "gauge"]


class _Process:
    """The flush thread of one process."""

    def __init__(self, delivery: Delivery) -> None:
        self.pid = os.getpid()
        self.stop = threading.Event()
        self._delivery = delivery
        self.thread = threading.Thread(target=self._run, name="falconkit-metrics", daemon=True)

    def _run(self) -> None:
        while not self.stop.wait(self._delivery.interval):
            self._delivery.flush(when_due=True)
        self._delivery.flush()
