"""Identical calls in flight share one."""

from falconkit.coalesce.middleware import coalesce

__all__ = ["coalesce"]
