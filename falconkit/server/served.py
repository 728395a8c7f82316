"""What a worker serves now: found from outside, so that a request pays nothing for it."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

from falconkit.context import Context

_WRAPPERS = ("application", "app", "wsgi_app", "__wrapped__")
_DEEPEST = 8
_MOST_FRAMES = 16


@dataclass(frozen=True, slots=True)
class Running:
    """A request that is being served.

    Attributes:
        thread: By which thread.
        started: Since when, in seconds of the monotonic clock.
        request_id: Whose, "" when that is not known.
        path: Where to.
        trace_id: Of which trace, "" when it has none.
    """

    thread: int
    started: float
    request_id: str
    path: str
    # Some traces have their id only from the first span on: it is the same request.
    trace_id: str = field(default="", compare=False)

    @property
    def named(self) -> dict[str, str]:
        """What a log line says of it, by the names that all lines have."""
        trace = {"trace_id": self.trace_id} if self.trace_id else {}
        return {"request_id": self.request_id, **trace, "path": self.path}


def find_app(wsgi: Any) -> Any | None:
    """Return the falconkit app in what gunicorn serves, None when there is none.

    It is looked for inside what usual WSGI middleware keeps under
    ``application``, ``app``, ``wsgi_app`` or ``__wrapped__``.
    """
    for _ in range(_DEEPEST):
        if hasattr(wsgi, "in_flight") and hasattr(wsgi, "drain"):
            return wsgi
        inner = (getattr(wsgi, name, None) for name in _WRAPPERS)
        wsgi = next((each for each in inner if callable(each)), None)
    return None


def running(worker: Any) -> list[Running]:
    """Return what ``worker`` serves now, the oldest first."""
    app = find_app(getattr(worker, "wsgi", None))
    table = {} if app is None else app.in_flight
    found = {thread: _of(thread, *entry) for thread, entry in list(table.items())}
    for thread, (started, conn) in list(getattr(worker, "busy", {}).items()):
        if thread not in found:
            found[thread] = Running(thread, started, *_named(conn))
    return sorted(found.values(), key=lambda each: each.started)


def _of(thread: int, started: float, ctx: Context) -> Running:
    trace_id = "" if ctx.span is None else ctx.span.trace_id
    return Running(thread, started, ctx.request_id, ctx.path, trace_id)


def _named(conn: Any) -> tuple[str, str]:
    """Read a request's id and path off its connection, for an app that keeps no table."""
    request = getattr(getattr(conn, "parser", None), "mesg", None)
    headers = dict(getattr(request, "headers", ()))
    return headers.get("X-REQUEST-ID", ""), getattr(request, "path", None) or ""


def stack(frame: FrameType | None, *, above: CodeType | None = None) -> list[str]:
    """Return where a thread is: one text a frame, the innermost first.

    Args:
        frame: The thread's innermost frame; None when it has ended.
        above: Leave out this function's frame and all that it called.
    """
    if frame is None:
        return []
    frames = traceback.extract_stack(frame)
    if above is not None:
        names = [(each.filename, each.name) for each in frames]
        if (above.co_filename, above.co_name) in names:
            del frames[names.index((above.co_filename, above.co_name)) :]
    here = os.path.join(os.getcwd(), "")
    return [
        f"{each.filename.removeprefix(here)}:{each.lineno} in {each.name}: {each.line}"
        for each in reversed(frames[-_MOST_FRAMES:])
    ]
