"""The parts that every microservice needs, as decorators from endpoint to endpoint."""

from falconkit.context import Context, Key, Notes, current
from falconkit.endpoint import Endpoint, Failer, Middleware, chain, nop
from falconkit.layers import layer, layers
from falconkit.naming import name_of, named

__version__ = "0.1.0"

__all__ = [
    "Context",
    "Endpoint",
    "Failer",
    "Key",
    "Middleware",
    "Notes",
    "chain",
    "current",
    "layer",
    "layers",
    "name_of",
    "named",
    "nop",
]
