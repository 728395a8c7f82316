"""B3, Zipkin's own headers: in one, or in many (openzipkin/b3-propagation)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from falconkit.tracing.propagation import Carried

_TRACE = r"(?!0+(?![0-9a-f]))([0-9a-f]{32}|[0-9a-f]{16})"
_SPAN = r"(?!0{16})([0-9a-f]{16})"
_single = re.compile(rf"{_TRACE}-{_SPAN}(?:-([01d])(?:-([0-9a-f]{{16}}))?)?").fullmatch
_trace = re.compile(_TRACE).fullmatch
_span = re.compile(_SPAN).fullmatch
_DECISIONS: Final[dict[str | None, bool | None]] = {
    "1": True, "0": False, "d": True, "true": True, "false": False, None: None,
}  # fmt: skip


class Single:
    """All in the header ``b3``.

    >>> B3_SINGLE.write(Carried(0xAB, 0xCD, sampled=True))
    [('b3', '00000000000000ab-00000000000000cd-1')]
    >>> B3_SINGLE.read({"b3": "0"}).sampled
    False
    """

    fields: Final = ("b3",)

    def read(self, headers: Mapping[str, str]) -> Carried | None:
        """Return what the header says, or None when it says nothing valid."""
        given = headers.get("b3")
        if given is None:
            return None
        given = given.strip(" \t")
        if given in ("0", "1", "d"):
            return Carried(sampled=given != "0", debug=given == "d")
        found = _single(given)
        if found is None:
            return None
        trace_id, span_id, state, parent_id = found.groups()
        return Carried(
            int(trace_id, 16),
            int(span_id, 16),
            int(parent_id or "0", 16),
            _DECISIONS[state],
            state == "d",
        )

    def write(self, carried: Carried) -> list[tuple[str, str]]:
        """Return the header that says it."""
        state = "d" if carried.debug else "1" if carried.sampled else "0"
        parent = f"-{carried.parent_id:016x}" if carried.parent_id else ""
        return [("b3", f"{_hex(carried.trace_id)}-{carried.span_id:016x}-{state}{parent}")]

    def __repr__(self) -> str:
        return "B3_SINGLE"


class Multi:
    """Spread over headers that begin with ``X-B3-``.

    >>> B3_MULTI.write(Carried(0xAB, 0xCD, sampled=False))[-1]
    ('X-B3-Sampled', '0')
    """

    fields: Final = (
        "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags",
    )  # fmt: skip

    def read(self, headers: Mapping[str, str]) -> Carried | None:
        """Return what the headers say, or None when they say nothing valid."""
        trace_id, span_id, parent_id, sampled, flags = map(headers.get, self.fields)
        debug = flags == "1"
        if sampled is not None and sampled.lower() not in _DECISIONS:
            return None
        decision = True if debug else _DECISIONS[sampled and sampled.lower()]
        if trace_id is None and span_id is None:
            return None if decision is None else Carried(sampled=decision, debug=debug)
        if not (_trace(trace_id or "") and _span(span_id or "")):
            return None
        parent = int(parent_id, 16) if parent_id and _span(parent_id) else 0
        return Carried(int(trace_id or "", 16), int(span_id or "", 16), parent, decision, debug)

    def write(self, carried: Carried) -> list[tuple[str, str]]:
        """Return the headers that say it."""
        written = [
            ("X-B3-TraceId", _hex(carried.trace_id)),
            ("X-B3-SpanId", f"{carried.span_id:016x}"),
        ]
        if carried.parent_id:
            written.append(("X-B3-ParentSpanId", f"{carried.parent_id:016x}"))
        if carried.debug:  # it implies that it is sampled
            written.append(("X-B3-Flags", "1"))
        else:
            written.append(("X-B3-Sampled", "1" if carried.sampled else "0"))
        return written

    def __repr__(self) -> str:
        return "B3_MULTI"


def _hex(trace_id: int) -> str:
    # One of 64 bits goes on as it came: services that know no others read it.
    return f"{trace_id:016x}" if trace_id < 1 << 64 else f"{trace_id:032x}"


B3_SINGLE: Final = Single()
"""The header ``b3``."""

B3_MULTI: Final = Multi()
"""The headers ``X-B3-TraceId``, ``X-B3-SpanId``, ``X-B3-ParentSpanId``, ``X-B3-Sampled``, ..."""
