"""What the middleware asks of a tracer and of its spans: two small Protocols."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Literal, NamedTuple, Protocol, TypeAlias

from falconkit import context
from falconkit.context import Context
from falconkit.events import Events

Kind: TypeAlias = Literal["server", "client", "producer", "consumer", "local"]
"""What a span is of: a call that we answer, one that we make, or work of our own."""

Tag: TypeAlias = str | int | float | bool


class Callee(NamedTuple):
    """Whom a client endpoint calls.

    Attributes:
        service: Its name.
        host: Its host name or address.
        port: Its port, 0 when it is not known.
    """

    service: str
    host: str = ""
    port: int = 0

    @property
    def instance(self) -> str:
        """Host and port; "" when they are not known."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}" if self.port else host


class Span(Protocol):
    """A part of a trace, while it is open. `context.Span` is what the log reads of it."""

    @property
    def recording(self) -> bool:
        """False when nobody will see it: then it need not even be finished."""

    @property
    def trace_id(self) -> str:
        """32 lower-case hexadecimal digits; "" while there is none yet."""

    @property
    def span_id(self) -> str:
        """16 lower-case hexadecimal digits."""

    def headers(self) -> Iterable[tuple[str, str]]:
        """Return the names and values by which the next service continues this trace."""

    def tag(self, name: str, value: Tag, /) -> None:
        """Set what is searched by, as in ``retry.attempt``."""

    def annotate(self, what: str, /) -> None:
        """Say that something happened now."""

    def fail(self, error: BaseException, /) -> None:
        """Mark it as failed by ``error``."""

    def finish(self) -> None:
        """Close it; a second time changes nothing."""


class Tracer(Protocol):
    """Opens spans, and knows how traces come and go on."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The headers that `join` wants to see, in lower case."""

    def join(self, headers: Mapping[str, str], /) -> context.Span:
        """Return the trace that a request belongs to: continued, or a new one. Never raises."""

    def open(
        self, ctx: Context, name: str, kind: Kind | None = None, callee: Callee | None = None, /
    ) -> Span:
        """Open a span in the one that ``ctx`` is in. Never raises.

        One that is not recorded may be ``ctx.span`` itself.

        Args:
            ctx: The call's.
            name: The endpoint's.
            kind: When None, ``server`` directly under what `join` returned, else ``local``.
            callee: Whom a client calls.
        """

    def attach(self, events: Events, count: Callable[[str, int], None], /) -> None:
        """Tell ``events`` of trouble from now on, and ``count`` of spans ``sent`` and ``dropped``.

        An app calls it.
        """

    def close(self) -> None:
        """Send what is unsent, at most 2 s, and end the threads of this process."""


def tag(ctx: Context, name: str, value: Tag) -> None:
    """Tag the span that a call is in; nothing happens when it is in none.

    >>> tag(Context(), "cache", "miss")
    """
    set_tag = getattr(ctx.span, "tag", None)
    if set_tag is not None:
        set_tag(name, value)


def annotate(ctx: Context, what: str) -> None:
    """Say in the span that a call is in that something happened now.

    >>> annotate(Context(), "cache missed")
    """
    say = getattr(ctx.span, "annotate", None)
    if say is not None:
        say(what)
