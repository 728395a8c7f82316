"""The slowest and the failed traces of the last minutes, for ``/debug/traces``."""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable, Iterator

import msgspec

from falconkit.arena import Arena, default_arena
from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError
from falconkit.events import Events
from falconkit.tracing.batch_reporter import BatchReporter
from falconkit.tracing.recording import Recording
from falconkit.tracing.traces import Trace
from falconkit.tracing.zipkin_json import ZipkinSpan, zipkin_span

_MOST_SPANS = 100
_MOST_OPEN = 1000
_MOST_FILES = 256


class Kept(msgspec.Struct, frozen=True):
    """One service's part of a trace.

    Attributes:
        ended: When, in seconds since 1970.
        seconds: How long it took.
        failed: Whether a span of it failed.
        spans: The first is the outermost.
    """

    ended: float
    seconds: float
    failed: bool
    spans: list[ZipkinSpan]


class TraceRing(BatchReporter):
    """A `Reporter` that keeps the slowest and the last failed traces, and no more.

    Each worker leaves its own in a file of the arena's folder, so that any worker
    can show those of all. Requests pay as for any reporter; the choice is
    made in the thread.

    >>> ring = TraceRing(arena=Arena(directory=None))
    >>> ring.read()
    []

    Args:
        most: How many of the slowest are kept, and how many of the failed, by each worker.
        seconds: How far back.
        interval: Seconds between two looks at what was recorded.
        arena: Whose folder; the host's own when None.
        clock: Whose time it is.

    Raises:
        ConfigurationError: A number is not above 0.
    """

    def __init__(
        self,
        most: int = 25,
        *,
        seconds: float = 600.0,
        interval: float = 1.0,
        arena: Arena | None = None,
        clock: Clock = system_clock,
    ) -> None:
        if most < 1 or not seconds > 0:
            raise ConfigurationError(
                f"most={most!r} and seconds={seconds!r}: give 1 trace or more, and seconds above 0"
            )
        super().__init__("traces", interval=interval)
        self._most = most
        self._seconds = seconds
        self._arena = default_arena() if arena is None else arena
        self._now = clock.time
        self._decode = msgspec.json.Decoder(list[Kept]).decode
        self._begin()
        forked = weakref.WeakMethod(self._begin)
        os.register_at_fork(after_in_child=lambda: (forked() or int)())

    def _begin(self) -> None:
        """Begin anew: what a forked child's parent has kept is its own to show."""
        self._open: dict[Trace, list[Recording]] = {}
        self._slowest: tuple[Kept, ...] = ()
        self._failed: tuple[Kept, ...] = ()

    def attach(self, events: Events, count: Callable[[str, int], None], /) -> None:
        """Tell ``events`` of trouble; what is kept here is not counted as sent."""
        super().attach(events, lambda what, how_many: None)

    def send(self, spans: list[Recording]) -> None:
        """Choose what is kept."""
        before = self._slowest, self._failed
        self._forget_the_old()
        for span in spans:
            part = self._open.setdefault(span.trace, [])
            if span.parent == span.trace.caller_s:
                # What is outermost in this process ends last.
                del self._open[span.trace]
                self._judge([span, *reversed(part)])
            elif len(part) < _MOST_SPANS - 1:
                part.append(span)
        while len(self._open) > _MOST_OPEN:
            del self._open[next(iter(self._open))]
        if (self._slowest, self._failed) != before:
            self._write()

    def read(self) -> list[list[ZipkinSpan]]:
        """Return the traces of all workers, the failed first, then the slowest first."""
        self.flush()
        since = self._now() - self._seconds
        ours = (each for each in (*self._failed, *self._slowest) if each.ended >= since)
        kept = sorted((*ours, *self._others(since)), key=lambda each: -each.seconds)
        failed = [each for each in kept if each.failed][: self._most]
        slowest = [each for each in kept if not each.failed][: self._most]
        traces: dict[str, dict[str, ZipkinSpan]] = {}
        for each in (*failed, *slowest):
            spans = traces.setdefault(each.spans[0].trace_id, {})
            spans |= {span.id: span for span in each.spans}
        return [sorted(each.values(), key=lambda span: span.timestamp) for each in traces.values()]

    def _judge(self, spans: list[Recording]) -> None:
        seconds = spans[0].seconds or 0.0
        failed = any("error" in span.tags for span in spans)
        full = len(self._slowest) >= self._most
        if not failed and full and seconds <= self._slowest[-1].seconds:
            return
        shown = [zipkin_span(span, self.service) for span in spans]
        kept = Kept(spans[0].started + seconds, seconds, failed, shown)
        if failed:
            self._failed = (*self._failed, kept)[-self._most :]
        else:
            ranked = sorted((*self._slowest, kept), key=lambda each: -each.seconds)
            self._slowest = tuple(ranked[: self._most])

    def _forget_the_old(self) -> None:
        since = self._now() - self._seconds
        self._slowest = tuple(each for each in self._slowest if each.ended >= since)
        self._failed = tuple(each for each in self._failed if each.ended >= since)

    def _write(self) -> None:
        folder = self._arena.folder()
        if folder is None:
            return
        draft = folder / f"traces.{os.getpid()}.new"
        with contextlib.suppress(OSError):  # the folder is full, or gone: this worker shows its own
            draft.write_bytes(msgspec.json.encode([*self._slowest, *self._failed]))
            draft.replace(folder / f"traces.{os.getpid()}.json")

    def _others(self, since: float) -> Iterator[Kept]:
        folder = self._arena.folder()
        files = sorted(folder.glob("traces.*.json")) if folder is not None else []
        for file in files[:_MOST_FILES]:
            if file.name == f"traces.{os.getpid()}.json":
                continue
            try:
                if file.stat().st_mtime < since:
                    file.unlink()  # of a worker that has ended
                    continue
                kept = self._decode(file.read_bytes())
            except (OSError, msgspec.MsgspecError):
                continue
            yield from (each for each in kept if each.ended >= since and each.spans)

    def __repr__(self) -> str:
        return f"TraceRing({self._most})"
