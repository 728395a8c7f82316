"""A string service without a function of its own: each call goes to an instance that is alive.

Which those are says ``STRINGSVC_URL``. Here stands the limiter; around each call go its log line,
span, counts and retries, and around each try at one instance its breaker, span and time.
"""

from examples.kit import Kit
from examples.messages import Length, Text, Upper
from falconkit import Context
from falconkit.transport import http


def build() -> http.App:
    """Serve what `stringsvc` serves."""
    kit = Kit("stringproxy")
    strings = kit.calling("stringsvc")
    # Both only compute, so a call that may have run may run again, though it is a POST.
    ask_uppercase = strings.post("/uppercase", returns=Upper, idempotent=True)
    ask_count = strings.post("/count", returns=Length, idempotent=True)

    def uppercase(ctx: Context, text: Text) -> Upper:
        return ask_uppercase(ctx, text)

    def count(ctx: Context, text: Text) -> Length:
        return ask_count(ctx, text)

    kit.app.post("/uppercase", uppercase, kit.serving(limit="2000/second"))
    kit.app.post("/count", count, kit.serving(limit="2000/second"))
    return kit.app


app = build()
