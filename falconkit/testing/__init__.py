"""What users test their services with, and we ours."""

from falconkit.testing.clock import ManualClock
from falconkit.testing.conform_middleware import conform_middleware
from falconkit.testing.kept_metrics import KeptMetrics
from falconkit.testing.script import Script
from falconkit.testing.wait import wait_until

__all__ = ["KeptMetrics", "ManualClock", "Script", "conform_middleware", "wait_until"]
