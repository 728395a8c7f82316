"""Turn any value into one that JSON can carry: it never raises, and never runs away."""

from __future__ import annotations

import datetime
import decimal
import enum
import os
import uuid
from collections.abc import Callable
from typing import Any

import msgspec

from falconkit.log.parts import MOST_NODES, parts
from falconkit.log.text import clean, error_text, number_or_text, repr_text

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]

HIDDEN = "[redacted]"
DEEPEST = 12
MOST_TEXT = 20_000
_LONGEST_KEY = 200

_AS_TEXT = (
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    uuid.UUID,
    os.PathLike,
)
_NOT_IN_JSON = (float("inf"), float("-inf"))


def jsonable(value: object, *, hides: Callable[[str], bool] | None = None) -> Json:
    r"""Return ``value`` as JSON can carry it, whatever it is.

    Both ways to a log line, the fast one and python-json-logger's, use this
    for all but plain scalars, so that a value looks the same in each.

    ========================================  ===============================================
    None, bool, int, str, finite float        as they are; an int of over 4,300 digits as text
    NaN, Infinity                             null, as msgspec and JavaScript write them
    lone surrogates                           as text: ``\udc80``
    bytes                                     their text, what is not UTF-8 as ``\xff``
    a dict; other keys than text              an object; the keys' text
    list, tuple, set, deque                   a list
    dataclass, Struct, namedtuple, attrs      an object; a dataclass's ``repr=False`` is left out
    Enum                                      its value
    an exception, a date, UUID, Decimal, ...  its text
    anything else                             its repr, and no memory address for a plain object
    what contains itself; 12 levels deep      ``"<cycle>"``; ``"…"``
    what raises while it is looked at         ``"<unprintable Thing: ValueError>"``
    ========================================  ===============================================

    >>> jsonable({"at": (1, float("nan")), b"raw": b"ok\xff", ("a", 2): {3}})
    {'at': [1, None], 'raw': 'ok\\xff', "['a', 2]": [3]}

    Args:
        value: Anything. It is not changed, and iterators are not consumed.
        hides: Tells by a field's name whether its value is to be kept out.
    """
    return Walk(hides).of(value)


class Walk:
    """One walk through one value, with what it may still take.

    Attributes:
        cut: True when something was left out for its size.
        redacted: True when something was hidden for its name.
    """

    __slots__ = ("_above", "_hides", "_nodes", "_text", "cut", "redacted")

    def __init__(self, hides: Callable[[str], bool] | None = None) -> None:
        self._hides = hides
        self._nodes = MOST_NODES
        self._text = MOST_TEXT
        self._above: list[int] = []
        self.cut = False
        self.redacted = False

    def of(self, value: object) -> Json:
        """Return ``value`` as JSON can carry it."""
        kind = type(value)
        if value is None or kind is bool:
            return value  # type: ignore[return-value]
        self._nodes -= 1
        if self._nodes < 0:
            self.cut = True
            return "…"
        try:
            return self._scalar(value)
        except Exception as error:
            return f"<unprintable {kind.__name__}: {type(error).__name__}>"

    def _scalar(self, value: object) -> Json:
        if isinstance(value, enum.Enum):
            return self.of(value.value)
        if isinstance(value, str):
            return self.text(str.__str__(value))
        if isinstance(value, int):
            return number_or_text(int.__int__(value))
        if isinstance(value, float):
            number = float.__float__(value)
            return None if number != number or number in _NOT_IN_JSON else number
        if isinstance(value, bytes | bytearray | memoryview):
            return self._bytes(value)
        if isinstance(value, BaseException):
            return self.text(error_text(value))
        if isinstance(value, _AS_TEXT):
            return self.text(str(value))
        return self._container(value)

    def _container(self, value: object) -> Json:
        found = parts(value)
        if found is None:
            return self.text(repr_text(value))
        if id(value) in self._above:
            return "<cycle>"
        if len(self._above) >= DEEPEST:
            self.cut = True
            return "…"
        self._above.append(id(value))
        try:
            items, size, named = found
            return self._mapping(items, size) if named else self._sequence(items, size)
        finally:
            self._above.pop()

    def _mapping(self, items: list[Any], size: int) -> dict[str, Json]:
        shown: dict[str, Json] = {}
        for key, value, *also in items:
            if self._nodes <= 0:
                break
            self.put(shown, key, value, *also)
        if missing := size - len(shown):
            self.cut = True
            shown["…"] = f"+{missing} more"
        return shown

    def put(self, shown: dict[str, Json], key: object, value: object, also: str = "") -> None:
        """Add a named value to an object, hidden if a name of it says so; no other is replaced."""
        name = self._key(key)
        while name in shown:
            name += "'"  # 1 and "1" are two keys of a dict, and one of an object
        hidden = self._is_hidden(name) or (also != "" and self._is_hidden(also))
        shown[name] = self._hide() if hidden else self.of(value)

    def _sequence(self, items: list[Any], size: int) -> list[Json]:
        if size == 2 and isinstance(items[0], str | bytes):
            name = self._key(items[0])
            if self._is_hidden(name):
                return [name, self._hide()]  # a header, in a list of them
        shown: list[Json] = []
        for value in items:
            if self._nodes <= 0:
                break
            shown.append(self.of(value))
        if missing := size - len(shown):
            self.cut = True
            shown.append(f"…(+{missing} more)")
        return shown

    def _is_hidden(self, name: str) -> bool:
        return self._hides is not None and self._hides(name)

    def _hide(self) -> str:
        self.redacted = True
        return HIDDEN

    def _key(self, key: object) -> str:
        if isinstance(key, tuple):
            key = str(Walk(self._hides).of(key))
        elif not isinstance(key, str):
            shown = Walk().of(key)
            key = shown if isinstance(shown, str) else msgspec.json.encode(shown).decode()
        if len(key) <= _LONGEST_KEY:
            return clean(key)
        self.cut = True
        return clean(key[:_LONGEST_KEY]) + "…"

    def _bytes(self, value: bytes | bytearray | memoryview) -> str:
        size = value.nbytes if isinstance(value, memoryview) else len(value)
        head = bytes(value)[: self._text]
        return self.text(head.decode("utf-8", "backslashreplace"), size - len(head))

    def text(self, text: str, missing: int = 0) -> str:
        """Return ``text`` as UTF-8 can carry it, no longer than there is room for."""
        room = max(self._text, 0)
        self._text -= min(len(text), room)
        if len(text) > room or missing:
            self.cut = True
            lost = len(text[room:].encode("utf-8", "surrogatepass")) + missing
            return f"{clean(text[:room])}…(+{lost} bytes)"
        return clean(text)
