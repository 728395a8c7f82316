"""Durations as Go prints them."""

from __future__ import annotations


def go_duration(seconds: float) -> str:
    """Return ``seconds`` as Go's ``time.Duration.String`` writes them.

    Under a second the unit is the largest that leaves a whole digit: ns, µs
    or ms; from then on hours, minutes and seconds. Zeros at the end of a
    fraction are left out. https://pkg.go.dev/time#Duration.String

    >>> [go_duration(s) for s in (0, 150e-9, 30.206e-6, 0.0015, 1.1, 62, 3600.5)]
    ['0s', '150ns', '30.206µs', '1.5ms', '1.1s', '1m2s', '1h0m0.5s']

    Args:
        seconds: Any finite number; it is rounded to nanoseconds.
    """
    total = round(seconds * 1e9)
    sign, total = ("-", -total) if total < 0 else ("", total)
    if total == 0:
        return "0s"
    for unit, size in (("ns", 1), ("µs", 1_000), ("ms", 1_000_000)):
        if total < size * 1_000:
            return f"{sign}{_decimal(total, size)}{unit}"
    minutes, rest = divmod(total, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, 1_000_000_000)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else sign + text


def _decimal(total: int, size: int) -> str:
    whole, fraction = divmod(total, size)
    if not fraction:
        return str(whole)
    return f"{whole}.{str(fraction).zfill(len(str(size)) - 1).rstrip('0')}"
