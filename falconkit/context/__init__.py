"""What a call knows of its request: small, immutable, an explicit argument."""

from falconkit.context.context import Context, Span, first_context
from falconkit.context.ids import context_of, current, keep_ids
from falconkit.context.keys import ATTEMPT, IDEMPOTENT_METHODS, INSTANCE, QUEUE_TIME, Key
from falconkit.context.notes import Asked, Notes

__all__ = [
    "ATTEMPT",
    "IDEMPOTENT_METHODS",
    "INSTANCE",
    "QUEUE_TIME",
    "Asked",
    "Context",
    "Key",
    "Notes",
    "Span",
    "context_of",
    "current",
    "first_context",
    "keep_ids",
]
