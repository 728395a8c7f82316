"""The string service, ``POST /uppercase`` and ``POST /count``: its business is two functions."""

from examples.kit import Kit
from examples.messages import Length, Text, Upper
from falconkit import Context
from falconkit.errors import Failed
from falconkit.transport import http


def uppercase(ctx: Context, text: Text) -> Upper:
    """Return the text in capitals; there are none of no text."""
    if not text.s:
        raise Failed("empty string")
    return Upper(text.s.upper())


def count(ctx: Context, text: Text) -> Length:
    """Return how many characters the text has."""
    return Length(len(text.s))


def build() -> http.App:
    """Serve both."""
    kit = Kit("stringsvc")
    kit.app.post("/uppercase", uppercase, kit.serving())
    kit.app.post("/count", count, kit.serving())
    return kit.app


app = build()
