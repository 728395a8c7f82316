"""The header ``baggage``, as it is written (W3C Baggage, 3.3)."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for it
_VALUE = r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"
_is_member = re.compile(
    rf"({_TOKEN})[ \t]*=[ \t]*({_VALUE})"
    rf"((?:[ \t]*;[ \t]*{_TOKEN}(?:[ \t]*=[ \t]*{_VALUE})?)*)"
).fullmatch
_is_token = re.compile(_TOKEN).fullmatch
# What a value may hold as it is; a percent sign may not, for it begins what is encoded.
_AS_IT_IS = "!#$&'()*+-./:<=>?@[]^_`{|}~"
_MOST_READ = 1024
MOST_MEMBERS = 64
"""Members that everybody must pass on (3.3.2)."""
MOST_BYTES = 8192
"""Bytes of the header, as many."""


def accepted(header: str) -> tuple[list[str], int]:
    """Return the members that go on, as they came, and how many do not.

    What is malformed or too much is left out whole.

    >>> accepted("user=ann;ttl=3 ,  broken, plan=free%20one")
    (['user=ann;ttl=3', 'plan=free%20one'], 1)
    """
    given = [member for each in header.split(",", _MOST_READ) if (member := each.strip(" \t"))]
    kept = fitting([each for each in given[:_MOST_READ] if each.isascii() and _is_member(each)])
    return kept, len(given) - len(kept)


def fitting(members: list[str]) -> list[str]:
    """Return the members, from the left, that others must pass on.

    >>> fitting(["a=1", "b=" + "2" * 8190, "c=3"])
    ['a=1', 'c=3']
    """
    kept: list[str] = []
    left = MOST_BYTES + 1
    for member in members:
        if len(member) < left and len(kept) < MOST_MEMBERS:
            kept.append(member)
            left -= len(member) + 1
    return kept


def parsed(member: str) -> tuple[str, str, str]:
    """Return a member's name, its value, and its properties as they are written.

    >>> parsed("plan=free%20one;ttl=3")
    ('plan', 'free one', ';ttl=3')
    """
    found = _is_member(member)
    return (found[1], unquote(found[2]), found[3]) if found else ("", "", "")


def properties(written: str) -> dict[str, str | None]:
    """Return a member's properties by name; None is the value of one that has none.

    >>> properties(";ttl=3; secret")
    {'ttl': '3', 'secret': None}
    """
    found: dict[str, str | None] = {}
    for each in written.split(";")[1:]:
        name, equals, value = (part.strip(" \t") for part in each.partition("="))
        found[name] = unquote(value) if equals else None
    return found


def token(name: str) -> str:
    """Return a name that can be sent.

    Raises:
        ValueError: It is no token.
    """
    if not isinstance(name, str) or not _is_token(name):
        raise ValueError(
            f"baggage's names are tokens (RFC 9110, 5.6.2), as in 'user-plan', got {name!r}"
        )
    return name


def pair(name: str, value: str) -> str:
    """Return a name and its value as they are sent.

    >>> pair("plan", "free, \N{SNOWMAN}")
    'plan=free%2C%20%E2%98%83'

    Raises:
        ValueError: The name is no token, or the value no text.
    """
    if not isinstance(value, str):
        raise ValueError(f"baggage's values are text, got {value!r} for {name!r}")
    return f"{token(name)}={quote(value, safe=_AS_IT_IS)}"
