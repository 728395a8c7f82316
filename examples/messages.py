"""What goes over the wire: whoever serves it and whoever calls it read the same."""

from msgspec import Struct


class Text(Struct):
    """Asks the string service."""

    s: str


class Upper(Struct):
    """The text in capitals."""

    v: str


class Length(Struct):
    """How many characters the text has."""

    v: int


class Numbers(Struct):
    """Asks for a sum."""

    a: int
    b: int


class Sum(Struct):
    """Of two numbers."""

    v: int


class Words(Struct):
    """Asks for two words as one."""

    a: str
    b: str


class Joined(Struct):
    """Two words as one."""

    v: str
