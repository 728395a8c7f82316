"""What happened lately in any worker of this host: failures, slow calls, breakers, full keys."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

from falconkit.arena import Arena
from falconkit.arena.journal import Journal
from falconkit.clock import Clock, system_clock
from falconkit.context import Context
from falconkit.debug.shown import without_secrets
from falconkit.debug.state import BreakerChange, Happened
from falconkit.events import BreakerChanged, Event
from falconkit.metrics.middleware import kind_of

T = TypeVar("T")

KEPT: Final = 128
"""Failures, and slow calls, that are kept; the older ones make room."""

LATELY: Final = 600.0
"""Seconds for which a slow call is of interest."""

_FORGET_KEY_AFTER: Final = 10.0
_MOST_KEYS: Final = 256
_WORDS: Final = 100


class Change(msgspec.Struct, frozen=True):
    """A change of a breaker, with the breaker's name."""

    breaker: str
    change: BreakerChange


class FullKey(msgspec.Struct, frozen=True):
    """A key of a limiter that came over half of its burst."""

    limiter: str
    key: str


class Recent:
    """Remembers what happened lately, in memory that the workers of a host share.

    It outlives the worker in which it happened. Nothing is written before something happens.

    >>> recent = Recent(Arena(directory=None))
    >>> recent.failed("add", Context("POST", "/add", "r-1"), 0.25, KeyError("v"))
    >>> [(each.endpoint, each.request_id, each.kind) for each in recent.failures()]
    [('add', 'r-1', 'key_error')]

    Args:
        arena: Whose memory.
        clock: Tells when it happened.
    """

    def __init__(self, arena: Arena, *, clock: Clock = system_clock) -> None:
        self._clock = clock
        # All texts are cut to fit: callers choose paths, and ids, and what errors say.
        self._failures = arena.journal("failures", entries=KEPT, size=1200)
        self._slow = arena.journal("slow", entries=KEPT, size=1200)
        self._changes = arena.journal("breaker-changes", entries=KEPT, size=500)
        self._keys = arena.journal("full-keys", entries=_MOST_KEYS, size=1000)
        self._noted: dict[tuple[str, str], float] = {}

    def failed(self, endpoint: str, ctx: Context, seconds: float, error: BaseException) -> None:
        """Remember a call that raised what it should not have."""
        # PERF: 6 us, at a failure, whose log line and answer take more.
        self._failures.add(self._happened(endpoint, ctx, seconds, error))

    def slow(
        self, endpoint: str, ctx: Context, seconds: float, error: BaseException | None
    ) -> None:
        """Remember a call that was slow."""
        self._slow.add(self._happened(endpoint, ctx, seconds, error))

    def filled(self, limiter: str, key: str) -> None:
        """Remember that a key came over half of its burst."""
        now, which = self._clock.monotonic(), (limiter, key)
        # Each key once in a while: a caller over its rate comes with every call.
        if now - self._noted.get(which, -_FORGET_KEY_AFTER) < _FORGET_KEY_AFTER:
            return
        if len(self._noted) >= _MOST_KEYS:
            self._noted.clear()
        self._noted[which] = now
        self._keys.add(msgspec.msgpack.encode(FullKey(fit(limiter), key)))

    def listen(self, event: Event) -> None:
        """Remember a breaker's change; a listener of events."""
        if isinstance(event, BreakerChanged):
            change = BreakerChange(self._clock.time(), event.old, event.new, fit(event.why, 200))
            self._changes.add(msgspec.msgpack.encode(Change(fit(event.breaker), change)))

    def failures(self) -> list[Happened]:
        """Return the last failures, the latest first."""
        return _read(self._failures, Happened)[::-1]

    def slowest(self) -> list[Happened]:
        """Return the slow calls of the last minutes, the slowest first."""
        since = self._clock.time() - LATELY
        found = [each for each in _read(self._slow, Happened) if each.at >= since]
        return sorted(found, key=lambda each: -each.seconds)

    def changes(self) -> dict[str, list[BreakerChange]]:
        """Return the last changes by breaker, the latest first."""
        found: dict[str, list[BreakerChange]] = {}
        for each in reversed(_read(self._changes, Change)):
            found.setdefault(each.breaker, []).append(each.change)
        return found

    def keys(self) -> dict[str, dict[str, None]]:
        """Return by limiter the keys that came over half of their burst, the latest first."""
        found: dict[str, dict[str, None]] = {}
        for each in reversed(_read(self._keys, FullKey)):
            found.setdefault(each.limiter, {})[each.key] = None
        return found

    def _happened(
        self, endpoint: str, ctx: Context, seconds: float, error: BaseException | None
    ) -> bytes:
        span = ctx.span
        recorded = span is not None and getattr(span, "sampled", True)
        return msgspec.msgpack.encode(
            Happened(
                self._clock.time(),
                fit(endpoint),
                fit(ctx.method, 16),
                fit(ctx.path, 200),
                fit(ctx.request_id, 200),
                seconds,
                fit(span.trace_id, 32) if span is not None and recorded else "",
                "" if error is None else fit(kind_of(error), 64),
                "" if error is None else _words_of(error),
                os.getpid(),
            )
        )


def fit(text: str, most: int = _WORDS) -> str:
    """Return a text without what cannot be printed, that takes no more bytes than it may."""
    fit = without_secrets(text, most)
    if not fit.isprintable():
        fit = "".join(each if each.isprintable() else "_" for each in fit)
    return fit if fit.isascii() else fit.encode()[:most].decode(errors="ignore")


def _words_of(error: BaseException) -> str:
    try:
        return fit(str(error), 300)
    except Exception:
        return ""


def _read(journal: Journal, kind: type[T]) -> list[T]:
    decode: Callable[[Any], T] = msgspec.msgpack.Decoder(kind).decode
    found = []
    for message in journal.read():
        try:
            found.append(decode(message))
        except msgspec.MsgspecError:
            continue  # of another version of the program, on the same host
    return found
