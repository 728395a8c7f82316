"""``baggage``: values that go with a request through every service (W3C Baggage)."""

from __future__ import annotations

import re
from urllib.parse import unquote

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - RFC 9110's word for it
_VALUE = r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*"
_is_member = re.compile(
    rf"({_TOKEN})[ \t]*=[ \t]*({_VALUE})"
    rf"(?:[ \t]*;[ \t]*{_TOKEN}(?:[ \t]*=[ \t]*{_VALUE})?)*"
).fullmatch
_MOST_MEMBERS = 180
_MOST_BYTES = 8192


def accepted(header: str) -> str:
    """Return the members that go on, as they came; what is malformed or too much is left out.

    180 members and 8192 bytes are what a platform must pass on (3.3.2).

    >>> accepted("user=ann;ttl=3 ,  broken, plan=free%20one")
    'user=ann;ttl=3,plan=free%20one'
    """
    if not header.isascii():
        return ""
    kept: list[str] = []
    left = _MOST_BYTES + 1
    for each in header.split(",", 1024)[:1024]:
        member = each.strip(" \t")
        if len(member) < left and _is_member(member):
            kept.append(member)
            left -= len(member) + 1
            if len(kept) == _MOST_MEMBERS:
                break
    return ",".join(kept)


def values(header: str) -> dict[str, str]:
    """Return accepted baggage by name; of a name that is there twice, the last value.

    >>> values("user=ann;ttl=3,plan=free%20one")
    {'user': 'ann', 'plan': 'free one'}
    """
    found = (_is_member(member) for member in header.split(","))
    return {each[1]: unquote(each[2]) for each in found if each}
