"""Deadlines: give a call less time, and refuse it when its time is over."""

from falconkit.deadline.left import check, seconds_left
from falconkit.deadline.middleware import deadline, timeout

__all__ = ["check", "deadline", "seconds_left", "timeout"]
