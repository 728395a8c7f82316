"""Service discovery: which instances there are, and which of them is called."""

from falconkit.sd.balancer import Balancer
from falconkit.sd.checked import checked
from falconkit.sd.discovery import Discovery
from falconkit.sd.endpointer import Endpointer
from falconkit.sd.file import from_file
from falconkit.sd.instance import Instance
from falconkit.sd.instancer import Instancer, Snapshot
from falconkit.sd.load import LeastInFlight, PeakEwma
from falconkit.sd.outliers import Outliers, at_fault
from falconkit.sd.policy import Policy
from falconkit.sd.registrar import Registrar, Registry
from falconkit.sd.static import Static
from falconkit.sd.sticky import Sticky
from falconkit.sd.subset import subset
from falconkit.sd.turns import Random, RoundRobin, Weighted
from falconkit.sd.url import from_url

__all__ = [
    "Balancer",
    "Discovery",
    "Endpointer",
    "Instance",
    "Instancer",
    "LeastInFlight",
    "Outliers",
    "PeakEwma",
    "Policy",
    "Random",
    "Registrar",
    "Registry",
    "RoundRobin",
    "Snapshot",
    "Static",
    "Sticky",
    "Weighted",
    "at_fault",
    "checked",
    "from_file",
    "from_url",
    "subset",
]
