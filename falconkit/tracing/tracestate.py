"""``tracestate``: what each vendor on the way keeps of a trace (W3C Trace Context, 3.3)."""

from __future__ import annotations

import re

_SIMPLE = r"[a-z][a-z0-9_*/-]{0,255}"
_TENANT = r"[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13}"
_is_key = re.compile(f"{_SIMPLE}|{_TENANT}").fullmatch
_is_member = re.compile(
    rf"(?:{_SIMPLE}|{_TENANT})="
    r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
).fullmatch
_MOST_MEMBERS = 32
_LONG_MEMBER = 128
MOST = 8192
"""Characters that are passed on. 512 are what everybody must (3.3.1.5)."""


def accepted(header: str) -> str:
    """Return the header as it goes on, or "" when it is malformed: then all of it is dropped.

    >>> accepted("rojo=00f067aa0ba902b7 , ,congo=t61rcWkgMzE")
    'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE'
    >>> accepted("rojo=1,Congo=2")
    ''

    Args:
        header: Its value; of repeated headers, all values joined by commas.
    """
    members = [part for each in header.split(",") if (part := each.strip(" \t"))]
    if len(members) > _MOST_MEMBERS or not all(_is_member(member) for member in members):
        return ""
    return ",".join(_fitting(members))


def put(state: str, key: str, value: str) -> str:
    """Return ``state`` with a member of our own at the left, and no other of that key.

    >>> put("rojo=1,congo=2", "congo", "3")
    'congo=3,rojo=1'
    """
    others = [each for each in state.split(",") if each and not each.startswith(f"{key}=")]
    return ",".join(_fitting([f"{key}={value}", *others[: _MOST_MEMBERS - 1]]))


def is_key(key: str) -> bool:
    """Tell whether a vendor may be called so: ``acme`` or ``tenant@acme``."""
    return _is_key(key) is not None


def _fitting(members: list[str]) -> list[str]:
    """Drop whole members until the rest fits, first the long ones, then from the right."""
    left = sum(map(len, members)) + len(members) - 1 - MOST
    for longer_than in (_LONG_MEMBER, 0):
        for at in reversed(range(len(members))):
            if left <= 0:
                return members
            if len(members[at]) > longer_than:
                left -= len(members.pop(at)) + 1
    return members
