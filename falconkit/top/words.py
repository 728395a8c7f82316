"""Numbers, times and other people's texts, as they are shown."""

from __future__ import annotations

import datetime
from typing import Final

_MOST: Final = 200
_THOUSAND: Final = 1000.0
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def harmless(text: str) -> str:
    r"""Return a text in which nothing can move a cursor, colour a line or end one.

    Names and messages come from whoever calls. A character that does not print is written
    out, a terminal's escape and a change of the writing's direction among them.

    >>> harmless("\x1b[31mred\n")
    '\\x1b[31mred\\n'
    """
    if len(text) > _MOST:
        text = text[: _MOST - 1] + "…"
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def per_second(rate: float | None) -> str:
    """Return a rate: three digits and a unit of thousands.

    >>> [per_second(each) for each in (None, 0.0, 0.05, 12.34, 1234.0, 98_765.0, 2e6)]
    ['–', '0', '0.05', '12.3', '1.23k', '98.8k', '2M']
    """
    if rate is None:
        return "–"
    return number(rate)


def number(value: float) -> str:
    """Return a number in three digits.

    >>> number(1_234_567), number(0), number(999.9)
    ('1.23M', '0', '1k')
    """
    for unit in ("", "k", "M", "G"):
        if value < 999.5 or unit == "G":
            return _digits(value) + unit
        value /= _THOUSAND
    raise AssertionError(value)


def took(seconds: float | None) -> str:
    """Return how long something took.

    >>> [took(each) for each in (None, 0.000_05, 0.012_34, 1.5, 75.0)]
    ['–', '50µs', '12.3ms', '1.5s', '75s']
    """
    if seconds is None:
        return "–"
    if seconds < 0.0009995:
        return f"{_digits(seconds * 1e6)}µs"
    if seconds < 0.9995:
        return f"{_digits(seconds * 1e3)}ms"
    return f"{_digits(seconds)}s"


def age(seconds: float) -> str:
    """Return how long ago, or how long already, in its two largest units.

    >>> [age(each) for each in (-1, 5.9, 65, 3_700, 200_000)]
    ['0s', '5s', '1m5s', '1h1m', '2d7h']
    """
    whole = max(0, int(seconds))
    for size, unit, smaller, less in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "m")):
        if whole >= size:
            return f"{whole // size}{unit}{whole % size // smaller}{less}"
    return f"{whole // _MINUTE}m{whole % _MINUTE}s" if whole >= _MINUTE else f"{whole}s"


def size(number_of_bytes: int | None) -> str:
    """Return an amount of memory.

    >>> size(None), size(50_331_648)
    ('–', '48.0 MiB')
    """
    return "–" if number_of_bytes is None else f"{number_of_bytes / 2**20:.1f} MiB"


def share(part: float | None) -> str:
    """Return a share of one.

    >>> share(None), share(0.256)
    ('–', '26%')
    """
    return "–" if part is None else f"{part:.0%}"


def at_clock(seconds: float) -> str:
    """Return the time of day, here, of seconds since 1970."""
    try:
        return datetime.datetime.fromtimestamp(seconds).astimezone().strftime("%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return "?"


def _digits(value: float) -> str:
    decimals = 2 if value < 9.995 else 1 if value < 99.95 else 0
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text
