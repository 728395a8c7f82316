"""Names and values as logfmt, quoted as go-logfmt does; what could move a terminal is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from falconkit.log.jsonable import Json

_SHORT = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_NEEDS_QUOTES = re.compile(r'[\s="\\]')


def pairs(fields: Iterable[tuple[str, Json]]) -> str:
    r"""Return names and values as logfmt.

    >>> pairs({"a b": 1, "n": None, "t": "null", "o": {"v": 1}}.items())
    'a_b=1 n=null t="null" o="{\\"v\\":1}"'
    """
    return " ".join(f"{_key(name)}={_value(value)}" for name, value in fields)


def quoted(text: str) -> str:
    """Return text in double quotes, with no control character left in it."""
    return f'"{escaped(text, also_quotes=True)}"'


def escaped(text: str, *, also_quotes: bool = False) -> str:
    r"""Return text with all that is not printable written out.

    >>> print(escaped("\x1b[31m\u202e\n"))
    \u001b[31m\u202e\n
    """
    if text.isprintable() and not (also_quotes and ('"' in text or "\\" in text)):
        return text
    return "".join(_escape_one(c, also_quotes) for c in text)


def _escape_one(char: str, also_quotes: bool) -> str:
    if char in '"\\':
        return _SHORT[char] if also_quotes else char
    if char.isprintable():
        return char
    if char in _SHORT:
        return _SHORT[char]
    code = ord(char)
    if code > 0xFFFF:  # as JSON does, for the readers that unquote as JSON
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"


def _key(name: str) -> str:
    return "".join(c if c.isprintable() and c not in ' ="' else "_" for c in name) or "_"


def _value(value: Json) -> str:
    if isinstance(value, str):
        bare = value.isprintable() and not _NEEDS_QUOTES.search(value)
        return value if bare and value != "null" else quoted(value)
    if isinstance(value, dict | list):
        return quoted(msgspec.json.encode(value).decode())
    return msgspec.json.encode(value).decode()
