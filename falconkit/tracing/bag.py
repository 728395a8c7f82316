"""Baggage: values that go with a request through every service behind (W3C Baggage)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from falconkit.context import Context, Key
from falconkit.events import BaggageDropped
from falconkit.tracing import w3c_baggage


class Baggage(Mapping[str, str]):
    """Values by name. Immutable; `having` and `without` give a changed copy.

    Of a name that came twice, the last value counts; all are passed on.

    >>> came = Baggage.read("user=ann;ttl=3,plan=free%20one")
    >>> came["plan"], came.properties("user")
    ('free one', {'ttl': '3'})
    >>> came.having("user", "b\N{LATIN SMALL LETTER U WITH DIAERESIS}").without("plan").header
    'user=b%C3%BC;ttl=3'

    Attributes:
        header: As it is sent.
        dropped: How many members had to go, since more are passed on by nobody.
    """

    __slots__ = ("_members", "dropped")

    def __init__(self, members: tuple[str, ...] = (), dropped: int = 0) -> None:
        self._members = members
        self.dropped = dropped

    @classmethod
    def read(cls, header: str) -> Baggage:
        """Return what a header says; what is malformed or too much is dropped."""
        members, dropped = w3c_baggage.accepted(header)
        return cls(tuple(members), dropped)

    @property
    def header(self) -> str:
        """As it is sent; "" when there is nothing to send."""
        return ",".join(self._members)

    def having(
        self, name: str, value: str, properties: Mapping[str, str | None] | None = None
    ) -> Baggage:
        """Return a copy in which ``name`` has this value.

        64 members and 8192 bytes are what every service passes on. When there would
        be more, the members that were set the longest time ago go, those that came first of all.

        Args:
            name: A token (RFC 9110, 5.6.2): no spaces, no commas.
            value: Any text.
            properties: What is said of the value, as ``{"ttl": "3", "secret": None}``;
                when None it keeps those that it has.

        Raises:
            ValueError: The name is no token, the value no text, or both are too long to be sent.
        """
        member = w3c_baggage.pair(name, value)
        if properties is None:
            member += self._said_of(name)
        else:
            for key, said in properties.items():
                written = w3c_baggage.token(key) if said is None else w3c_baggage.pair(key, said)
                member += f";{written}"
        if len(member) > w3c_baggage.MOST_BYTES:
            raise ValueError(
                f"baggage {name!r} would take {len(member)} bytes, and no service passes on "
                f"more than {w3c_baggage.MOST_BYTES}: send a key to it"
            )
        members = [member, *self.without(name)._members]
        kept = w3c_baggage.fitting(members)
        return Baggage(tuple(kept), self.dropped + len(members) - len(kept))

    def without(self, name: str) -> Baggage:
        """Return a copy that has no ``name``."""
        left = (each for each in self._members if w3c_baggage.parsed(each)[0] != name)
        return Baggage(tuple(left), self.dropped)

    def properties(self, name: str) -> dict[str, str | None]:
        """Return what is said of a value, by name; {} when nothing is, or there is no value."""
        return w3c_baggage.properties(self._said_of(name))

    def _said_of(self, name: str) -> str:
        for known, _, said in map(w3c_baggage.parsed, reversed(self._members)):
            if known == name:
                return said
        return ""

    def _values(self) -> dict[str, str]:
        return {name: value for name, value, _ in map(w3c_baggage.parsed, self._members)}

    def __getitem__(self, name: str) -> str:
        return self._values()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values())

    def __len__(self) -> int:
        return len(self._values())

    def __repr__(self) -> str:
        return f"Baggage.read({self.header!r})"


_SET: Final[Key[Baggage]] = Key("baggage")


def baggage(ctx: Context) -> Baggage:
    """Return the baggage of a call: what came with its request, or what `carrying` has set.

    Anybody may have written it: it says nothing of who calls.

    >>> dict(baggage(Context()))
    {}
    """
    found = ctx.get(_SET)
    if found is not None:
        return found
    came = {} if ctx.span is None else dict(ctx.span.headers())
    return Baggage.read(came.get("baggage", ""))


def carrying(ctx: Context, bag: Baggage) -> Context:
    """Return a context whose calls carry ``bag`` on.

    It goes to every service behind them, whoever runs it: names and passwords have no place in it.

    >>> ctx = carrying(Context(), baggage(Context()).having("plan", "free"))
    >>> baggage(ctx)["plan"], headers(ctx)
    ('free', {'baggage': 'plan=free'})
    """
    if bag.dropped:
        ctx.events.tell(BaggageDropped(bag.dropped))
        bag = Baggage(bag._members)
    return ctx.having(_SET, bag)


def headers(ctx: Context) -> dict[str, str]:
    """Return the headers by which a call continues the trace, and carries the baggage on."""
    found = {} if ctx.span is None else dict(ctx.span.headers())
    bag = ctx.get(_SET)
    if bag is not None:
        found.pop("baggage", None)
        if bag.header:
            found["baggage"] = bag.header
    return found


def was_set(ctx: Context) -> Baggage | None:
    """Return what `carrying` has set; None when all that goes on is what came."""
    return ctx.get(_SET)
