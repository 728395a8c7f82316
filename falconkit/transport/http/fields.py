"""Header fields, written and read: Retry-After, RateLimit, Accept, and the words of an error."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from falconkit.context import Notes
from falconkit.fallback.lastgood import Stale
from falconkit.ratelimit.decision import Decision

_JSON = frozenset({"application/json", "application/problem+json"})
_TEXT = frozenset({"text/plain"})
_FOREVER = 10**9
_ceil = math.ceil

_Fields = tuple[tuple[str, str], tuple[str, str]]


def whole_seconds(seconds: float) -> int:
    """Round up, so that who waits as long as asked is not refused again.

    >>> whole_seconds(0.2), whole_seconds(2.0), whole_seconds(-1.0)
    (1, 2, 0)
    """
    return max(0, math.ceil(min(seconds, _FOREVER)))


def note_fields(notes: Notes, endpoint: object = None) -> Sequence[tuple[str, str]]:
    """Return the fields that tell what the concerns of a call have noted.

    An old answer's is ``Age``: the seconds since it was made (RFC 9111, 5.1); ours is as old
    as what it was made of. A rate is that of the endpoint, not of what it calls.

    >>> notes = Notes()
    >>> notes.leave(Stale(age=12.7))
    >>> note_fields(notes)
    [('Age', '12')]

    Args:
        notes: What was noted.
        endpoint: The `innermost` function of the endpoint that is served; None for any.
    """
    left = notes.left()
    if not left:
        return ()
    # PERF: 0.3 us for the usual single decision, on every answer of a limited endpoint; 1.3 when
    # it is looked for as the rest is.
    if len(left) == 1 and type(left[0][0]) is Decision and left[0][1] is endpoint:
        return _told(left[0][0])
    told: list[tuple[str, str]] = []
    decisions = notes.of(Decision, by=endpoint)
    if decisions:
        told += rate_limit_fields(decisions)
    ages = [stale.age for stale in notes.of(Stale)]
    if ages:
        told.append(("Age", str(int(max(ages)))))
    return told


def rate_limit_fields(decisions: tuple[Decision, ...]) -> Sequence[tuple[str, str]]:
    """Return ``RateLimit-Policy`` and ``RateLimit`` for what the limiters decided.

    They are structured-field lists, as in the IETF's draft
    draft-ietf-httpapi-ratelimit-headers (2025-09).

    >>> rate_limit_fields((Decision(True, 5, 4, 0.0, 1.5, "per caller", 10.0),))
    (('RateLimit-Policy', '"per caller";q=5;w=10'), ('RateLimit', '"per caller";r=4;t=2'))
    """
    if len(decisions) == 1:
        return _told(decisions[0])
    each = [_told(decision) for decision in decisions]
    return tuple(
        (one[0][0], ", ".join(value for _, value in one)) for one in zip(*each, strict=True)
    )


def _told(decision: Decision) -> _Fields:
    return _rate_fields(
        decision.policy,
        decision.limit,
        decision.window,
        decision.remaining,
        _ceil(decision.reset_after),
    )


# PERF: a limiter says the same again and again: 0.15 us when it did before, 0.45 to write it.
@functools.lru_cache(maxsize=1024)
def _rate_fields(policy: str, limit: int, window: float, remaining: int, seconds: int) -> _Fields:
    name = f'"{quotable(policy)}"'
    return (
        ("RateLimit-Policy", f"{name};q={limit};w={max(1, whole_seconds(window))}"),
        ("RateLimit", f"{name};r={remaining};t={seconds}"),
    )


def quotable(text: str) -> str:
    r"""Return ``text`` as the inside of a structured-field string (RFC 9651, 3.3.3).

    >>> print(quotable('a "b" \u00e9'))
    a \"b\" ?
    """
    shown = "".join(c if " " <= c <= "~" else "?" for c in text)
    return shown.replace("\\", "\\\\").replace('"', '\\"')


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that ``Retry-After`` asks for, a number or a date.

    A date is read against the answer's own ``Date``, so that the clocks of
    the two machines need not agree.

    >>> retry_after({"retry-after": "120"}), retry_after({"retry-after": "soon"})
    (120.0, None)
    """
    value = headers.get("retry-after", "").strip()
    if value.isdecimal() and value.isascii():
        return float(min(int(value[:18]), _FOREVER))
    try:
        there = parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (parsedate_to_datetime(value) - there).total_seconds())
    except (ValueError, TypeError):
        return None


def quota(headers: Mapping[str, str]) -> tuple[int, int]:
    """Return limit and remaining from the RateLimit fields, 0 where they do not say."""
    limit = re.search(r";\s*q=(\d{1,15})", headers.get("ratelimit-policy", ""))
    remaining = re.search(r";\s*r=(\d{1,15})", headers.get("ratelimit", ""))
    return int(limit[1]) if limit else 0, int(remaining[1]) if remaining else 0


def problem(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
    """Return the members of a problem+json body (RFC 9457), none when it is something else."""
    if "json" not in headers.get("content-type", "").lower():
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def words(members: Mapping[str, Any], body: bytes, status: int) -> str:
    """Return what an error's body says, in one line."""
    for member in ("detail", "title"):
        if isinstance(members.get(member), str):
            return str(members[member])
    text = body[:1024].decode("utf-8", "replace").strip()
    if members or not text or "\n" in text or text[0] in "<{[":
        return reason(status).lower()
    return text


def reason(status: int) -> str:
    """Return the standard's words for a status.

    >>> reason(404), reason(499)
    ('Not Found', 'Status 499')
    """
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


def prefers_json(accept: str | None) -> bool:
    """Tell whether ``Accept`` names JSON, and likes plain text no better.

    >>> prefers_json("*/*"), prefers_json("application/json, text/plain, */*")
    (False, True)
    >>> prefers_json("text/plain, application/json;q=0.5")
    False
    """
    if accept is None or "json" not in accept:
        return False
    json_q = text_q = 0.0
    for part in accept.lower().split(",", 32)[:32]:
        kind, *parameters = part.split(";")
        kind = kind.strip()
        if kind in _JSON:
            json_q = max(json_q, _quality(parameters))
        elif kind in _TEXT:
            text_q = max(text_q, _quality(parameters))
    return json_q > 0 and json_q >= text_q


def _quality(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if re.fullmatch(r"\s*[01](\.\d{0,3})?\s*", value) else 0.0
    return 1.0
