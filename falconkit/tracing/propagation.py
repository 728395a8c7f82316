"""How a trace goes from service to service: what a header format reads and writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec


class Carried(msgspec.Struct, frozen=True, gc=False):
    """What the headers of one call say of its trace.

    Attributes:
        trace_id: 128 bits, or 0 when only a decision came.
        span_id: The caller's span, 64 bits.
        parent_id: The caller's span's parent, 0 when it has none or did not say.
        sampled: Whether the trace is recorded; None leaves it to whoever comes.
        debug: It is recorded whatever samplers say (B3).
        random: The trace id's low 7 bytes are random (W3C level 2).
        state: What other vendors keep of the trace, as `tracestate` has it.
    """

    trace_id: int = 0
    span_id: int = 0
    parent_id: int = 0
    sampled: bool | None = None
    debug: bool = False
    random: bool = False
    state: str = ""


class Format(Protocol):
    """A way to write a trace into headers.

    Attributes:
        fields: The headers that it reads, in lower case.
    """

    @property
    def fields(self) -> tuple[str, ...]:
        """The headers that it reads, in lower case."""

    def read(self, headers: Mapping[str, str]) -> Carried | None:
        """Return what the headers say, or None when they say nothing, or nothing valid."""

    def write(self, carried: Carried) -> list[tuple[str, str]]:
        """Return the headers that say it."""
