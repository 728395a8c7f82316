"""Make a line fit: shorten its values, the largest first, and say so."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from falconkit.log.jsonable import Json

PIPE_LIMIT = 4_096
"""A line to a pipe has fewer bytes, newline included: the kernel then never splits it."""
LIMIT = 10_000
"""A line to anything else has fewer: Heroku splits what is longer."""

_MARK = re.compile(r"…\(\+(\d+) bytes\)")
_LEAST = 40
_FLAG = len(',"truncated":true}\n')
_MARGIN = len("…(+1234567 bytes)…".encode())
_TRACES = ("exc_info", "stack_info")
_encode = msgspec.json.encode


def fit(fields: dict[str, Json], limit: int, render: Callable[[dict[str, Json]], bytes]) -> bytes:
    """Return ``fields`` rendered in fewer than ``limit`` bytes.

    What is too large is cut to what the others leave it, the largest first;
    a traceback loses its middle, any other text its end.

    >>> fit({"a": "x" * 500, "b": 1}, 100, msgspec.json.encode).decode()[-40:]
    'xx…(+456 bytes)","b":1,"truncated":true}'

    Args:
        fields: The line's, as `falconkit.log.jsonable` makes them.
        limit: In bytes; at least 100.
        render: Makes the line of fields.
    """
    line = render(fields)
    budget = limit - _FLAG
    while len(line) >= limit:
        if budget < _LEAST:
            return _last_resort(fields, limit, render)
        line = render(_shorten_object(fields, budget) | {"truncated": True})
        # What JSON and the format need for the same value differs, most where quotes
        # are quoted again, so that the first guess may be too large.
        budget = min(budget - (len(line) - limit) - 1, budget * 9 // 10)
    return line


def _last_resort(
    fields: dict[str, Json], limit: int, render: Callable[[dict[str, Json]], bytes]
) -> bytes:
    kept: dict[str, Json] = {"truncated": True}
    line = render(kept)
    for name, value in fields.items():
        tried = kept | {name: value}
        if len(render(tried)) < limit:
            kept = tried
            line = render(kept)
    return line


def _size(value: Json) -> int:
    return len(_encode(value))


def shorten(value: Json, budget: int, *, trace: bool = False) -> Json:
    """Return ``value`` in about ``budget`` bytes of JSON, no fewer than 40."""
    size = _size(value)
    if size <= max(budget, _LEAST):
        return value
    if isinstance(value, dict):
        return _shorten_object(value, budget)
    if isinstance(value, list):
        return _shorten_list(value, budget)
    return cut_text(str(value), budget, middle=trace)


def cut_text(text: str, budget: int, *, middle: bool = False) -> str:
    """Return ``text`` in about ``budget`` bytes of JSON, saying how many bytes are missing.

    >>> cut_text("abcdefgh" * 20, 40)
    'abcdefghabcdefgh…(+144 bytes)'
    """
    room = max(budget, _LEAST) - _MARGIN - 2
    head = _longest(text, room // 4 if middle else room)
    tail = _longest(text[::-1], room - room // 4)[::-1] if middle else ""
    gone = text[len(head) : len(text) - len(tail)]
    earlier = sum(int(count) - len(mark.encode()) for mark, count in _marks(gone))
    return f"{head}…(+{len(gone.encode()) + earlier} bytes){'…' if tail else ''}{tail}"


def _marks(text: str) -> list[tuple[str, str]]:
    return [(found[0], found[1][:12]) for found in _MARK.finditer(text[-40:])]


def _longest(text: str, room: int) -> str:
    """Return the longest start of ``text`` that JSON writes in ``room`` bytes."""
    low, high = 0, min(len(text), max(room, 0))
    while low < high:
        half = (low + high + 1) // 2
        if _size(text[:half]) - 2 <= room:
            low = half
        else:
            high = half - 1
    return text[:low]


def _level(sizes: list[int], budget: int) -> int:
    """Return the size to cut all larger ones to, so that they fill ``budget`` together."""
    left = budget
    for done, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - done)
        if size > share:
            return share
        left -= size
    return budget


def _shorten_object(fields: dict[str, Json], budget: int) -> dict[str, Json]:
    names = sum(_size(name) + 2 for name in fields)
    level = _level([_size(value) for value in fields.values()], budget - names - 2)
    if level >= _LEAST:
        return {
            name: shorten(value, level, trace=name in _TRACES) for name, value in fields.items()
        }
    short: dict[str, Json] = {}
    room = budget - _LEAST
    for name, value in fields.items():
        kept = shorten(value, _LEAST)
        room -= _size(name) + _size(kept) + 2
        if room < 0:
            break
        short[name] = kept
    return short | {"…": f"+{len(fields) - len(short)} more"}


def _shorten_list(items: list[Json], budget: int) -> list[Json]:
    level = _level([_size(item) for item in items], budget - len(items) - 2)
    if level >= _LEAST:
        return [shorten(item, level) for item in items]
    short: list[Json] = []
    room = budget - _LEAST
    for item in items:
        kept = shorten(item, _LEAST)
        room -= _size(kept) + 1
        if room < 0:
            break
        short.append(kept)
    return [*short, f"…(+{len(items) - len(short)} more)"]
