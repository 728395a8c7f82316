"""Metrics: counters, gauges and histograms, exact across the workers of a host."""

from falconkit.metrics.backend import Backend, TotalBackend
from falconkit.metrics.distribution import Distribution
from falconkit.metrics.events import count_events
from falconkit.metrics.expvar import expvar
from falconkit.metrics.instruments import Counter, Gauge, Histogram
from falconkit.metrics.middleware import measure
from falconkit.metrics.registry import Metrics
from falconkit.metrics.sample import Sample

__all__ = [
    "Backend",
    "Counter",
    "Distribution",
    "Gauge",
    "Histogram",
    "Metrics",
    "Sample",
    "TotalBackend",
    "count_events",
    "expvar",
    "measure",
]
