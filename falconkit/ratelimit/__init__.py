"""Rate limiting: token buckets and windows, exact across the workers of a host."""

from falconkit.ratelimit.bucket import TokenBucket
from falconkit.ratelimit.decision import Decision, Limiter
from falconkit.ratelimit.delay import delay
from falconkit.ratelimit.keys import by_caller
from falconkit.ratelimit.middleware import limit
from falconkit.ratelimit.rate import Rate
from falconkit.ratelimit.storage import Store
from falconkit.ratelimit.window import WindowLimiter

__all__ = [
    "Decision",
    "Limiter",
    "Rate",
    "Store",
    "TokenBucket",
    "WindowLimiter",
    "by_caller",
    "delay",
    "limit",
]
