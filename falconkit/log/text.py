"""The texts of things that are no text."""

from __future__ import annotations


def clean(text: str) -> str:
    r"""Return ``text`` with lone surrogates written out, as in ``\ud800``.

    >>> clean("caf\udce9")
    'caf\\udce9'
    """
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def error_text(error: BaseException) -> str:
    """Return an error's type and message in one line's worth of text.

    >>> error_text(KeyError("v"))
    "KeyError: 'v'"
    """
    name = type(error).__name__
    try:
        words = str(error)
    except Exception as unprintable:
        words = f"<unprintable: {type(unprintable).__name__}>"
    return f"{name}: {words}" if words else name


def number_or_text(number: int) -> int | str:
    """Return an int, or what to say of one with more digits than Python prints.

    >>> number_or_text(2**64), number_or_text(1 << 70_000)
    (18446744073709551616, '<an int of 70001 bits>')
    """
    try:
        str(number)
    except ValueError:
        return f"<an int of {number.bit_length()} bits>"
    return number


def repr_text(value: object) -> str:
    """Return an object's repr, or its type when the repr would be that and an address.

    >>> repr_text(object()), repr_text(range(2))
    ('<builtins.object>', 'range(0, 2)')
    """
    kind = type(value)
    if kind.__repr__ is object.__repr__:
        return f"<{kind.__module__}.{kind.__qualname__}>"
    return repr(value)
