"""Try a call again: few tries, jittered waits, a budget; or a second try beside a slow first."""

from falconkit.retry.budget import Budget
from falconkit.retry.hedge import hedge
from falconkit.retry.middleware import retry
from falconkit.retry.stop import Stop, seconds, tries
from falconkit.retry.threads import Threads
from falconkit.retry.wait import Wait, equal_jitter, exponential, fixed, full_jitter
from falconkit.retry.when import When, on, repeatable, transient

__all__ = [
    "Budget",
    "Stop",
    "Threads",
    "Wait",
    "When",
    "equal_jitter",
    "exponential",
    "fixed",
    "full_jitter",
    "hedge",
    "on",
    "repeatable",
    "retry",
    "seconds",
    "transient",
    "tries",
]
