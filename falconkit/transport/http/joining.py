"""Which trace a request belongs to, asked of a tracer by its headers."""

from __future__ import annotations

import logging
from collections.abc import Callable

from falconkit.context import Span
from falconkit.tracing import Tracer

_logger = logging.getLogger("falconkit.http")


def joining(tracer: Tracer) -> Callable[[dict[str, str]], Span | None]:
    """Return what hands a WSGI environ's trace headers to a tracer.

    A format of somebody's that fails on them costs the request its trace and no more.
    """
    keys = tuple((name, f"HTTP_{name.upper().replace('-', '_')}") for name in tracer.fields)
    wanted = frozenset(key for _, key in keys)
    none: dict[str, str] = {}
    join = tracer.join
    complained = False

    def joined(env: dict[str, str]) -> Span | None:
        nonlocal complained
        try:
            # PERF: 0.2 us for a request that has none of them, half of asking for each.
            if env.keys().isdisjoint(wanted):
                return join(none)
            return join({name: env[key] for name, key in keys if key in env})
        except Exception:
            if not complained:
                complained = True
                _logger.exception("%r failed on a request's headers: it has no trace", tracer)
            return None

    return joined
