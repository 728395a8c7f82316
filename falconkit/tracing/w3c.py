"""W3C Trace Context: ``traceparent`` and ``tracestate``, level 1 and level 2's random flag."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from falconkit.errors import ConfigurationError
from falconkit.tracing import tracestate
from falconkit.tracing.propagation import Carried

_parse = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?",
    re.DOTALL,
).fullmatch
_SAMPLED, _RANDOM = 1, 2


class TraceContext:
    """The format of https://www.w3.org/TR/trace-context/.

    Of a version above 00 what is known is read, and version 00 sent. What is
    malformed counts as absent, and its tracestate with it.

    >>> carried = W3C.read({"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01", "tracestate": "rojo=1"})
    >>> W3C.write(carried)[1]
    ('tracestate', 'rojo=1')
    >>> TraceContext(vendor="acme").write(carried)[1]
    ('tracestate', 'acme=cdcdcdcdcdcdcdcd,rojo=1')

    Args:
        vendor: Our key in ``tracestate``, under which the last of our spans
            stands at the left; None keeps none there.

    Raises:
        ConfigurationError: The vendor cannot be a key.
    """

    fields: Final = ("traceparent", "tracestate")

    def __init__(self, vendor: str | None = None) -> None:
        if vendor is not None and not tracestate.is_key(vendor):
            raise ConfigurationError(
                f"tracestate's key is lower-case, as in 'acme' or 'tenant@acme', got {vendor!r}"
            )
        self._vendor = vendor

    def read(self, headers: Mapping[str, str]) -> Carried | None:
        """Return what the headers say, or None when they say nothing valid."""
        given = headers.get("traceparent")
        if given is None:
            return None
        found = _parse(given) or _parse(given.strip(" \t"))
        if found is None:
            return None
        version, trace_id, span_id, flags, more = found.groups()
        if more is not None and version == "00":
            return None
        known = int(flags, 16)
        state = headers.get("tracestate")
        return Carried(
            int(trace_id, 16),
            int(span_id, 16),
            0,
            known & _SAMPLED != 0,
            False,
            known & _RANDOM != 0,
            tracestate.accepted(state) if state else "",
        )

    def write(self, carried: Carried) -> list[tuple[str, str]]:
        """Return the headers that say it."""
        flags = (_SAMPLED if carried.sampled else 0) | (_RANDOM if carried.random else 0)
        span_id = f"{carried.span_id:016x}"
        written = [("traceparent", f"00-{carried.trace_id:032x}-{span_id}-{flags:02x}")]
        state = carried.state
        if self._vendor is not None:
            state = tracestate.put(state, self._vendor, span_id)
        if state:
            written.append(("tracestate", state))
        return written

    def __repr__(self) -> str:
        return "W3C" if self._vendor is None else f"TraceContext(vendor={self._vendor!r})"


W3C: Final = TraceContext()
"""``traceparent`` and ``tracestate``, without a member of our own."""
