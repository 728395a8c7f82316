"""Load shedding: a bound that finds itself, priorities, and the age of what waited."""

from falconkit.shedding.adaptive import AdaptiveLimit
from falconkit.shedding.aimd import AIMD
from falconkit.shedding.codel import CoDel
from falconkit.shedding.gradient import Gradient2
from falconkit.shedding.middleware import shed
from falconkit.shedding.policy import Policy, State, Window
from falconkit.shedding.priority import SHARES, Priority

__all__ = [
    "AIMD",
    "SHARES",
    "AdaptiveLimit",
    "CoDel",
    "Gradient2",
    "Policy",
    "Priority",
    "State",
    "Window",
    "shed",
]
