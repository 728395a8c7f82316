"""What a worker serves now: found from outside, so that a request pays nothing for it."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any

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
    """

    thread: int
    started: float
    request_id: str
    path: str


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
    found = {thread: Running(thread, *entry) for thread, entry in list(table.items())}
    for thread, (started, conn) in list(getattr(worker, "busy", {}).items()):
        if thread not in found:
            found[thread] = Running(thread, started, *_named(conn))
    return sorted(found.values(), key=lambda each: each.started)


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
