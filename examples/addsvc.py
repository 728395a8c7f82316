"""The adding service: ``POST /sum`` of two numbers and ``POST /concat`` of two words."""

from examples.kit import Kit
from examples.messages import Joined, Numbers, Sum, Words
from falconkit import Context
from falconkit.errors import Failed
from falconkit.transport import http

LONGEST = 100


def sum_(ctx: Context, numbers: Numbers) -> Sum:
    """Return the sum of two numbers; that is to be a number of 64 bits, too."""
    total = numbers.a + numbers.b
    if not -(2**63) <= total < 2**63:
        raise Failed("the sum would leave 64 bits")
    return Sum(total)


def concat(ctx: Context, words: Words) -> Joined:
    """Return two words as one, of so many characters at most."""
    joined = words.a + words.b
    if len(joined) > LONGEST:
        raise Failed(f"the two are longer than {LONGEST} characters")
    return Joined(joined)


def build() -> http.App:
    """Serve both."""
    kit = Kit("addsvc")
    kit.app.post("/sum", sum_, kit.serving(), name="sum")
    kit.app.post("/concat", concat, kit.serving())
    return kit.app


app = build()
