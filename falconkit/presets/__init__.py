"""The recommended stacks, one line each: the one place that names several concerns.

Each returns a `Middleware` that is made of the concerns' own ones, so ``layers`` shows every
one of them, and whoever wants another order writes a ``chain`` of his own. What the
defaults are, and why, is in ``docs/presets.md``; what each swap changes in ``docs/order.md``.
"""

from falconkit.presets.client import call_stack, client_stack, try_stack
from falconkit.presets.policies import quick_breaker, strict_budget
from falconkit.presets.server import observe_stack, server_stack

__all__ = [
    "call_stack",
    "client_stack",
    "observe_stack",
    "quick_breaker",
    "server_stack",
    "strict_budget",
    "try_stack",
]
