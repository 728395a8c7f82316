"""The ids of log lines: of the request that code runs in, or that an error has left."""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar

from falconkit.context.context import Context

current: ContextVar[Context | None] = ContextVar("falconkit.context", default=None)
"""The context of the request this code runs in, for one use: log lines carry its ids.

Code that needs the context for anything else takes it as an argument.
"""

_LEFT = "__falconkit_context__"


def keep_ids(error: BaseException, ctx: Context) -> None:
    """Let the line of an error that leaves a request have its ids, whoever writes it, later.

    >>> error = OSError("a broken stream")
    >>> keep_ids(error, Context(request_id="r-1"))
    >>> context_of(error).request_id
    'r-1'
    """
    with suppress(AttributeError):  # an exception of C's may have no room for it
        setattr(error, _LEFT, ctx)


def context_of(error: BaseException | None) -> Context | None:
    """Return the context of the request that an error has left; None when it has left none."""
    return getattr(error, _LEFT, None)
