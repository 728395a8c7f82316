"""Dashboards and alert rules, written from what an app really publishes."""

from falconkit.dashboards.panels import Panel, Row, rows
from falconkit.dashboards.published import Measured, Metric, Published, published
from falconkit.dashboards.rules import Objective, rules
from falconkit.dashboards.sources import Source, graphite_of, prometheus_of, source_of

__all__ = [
    "Measured",
    "Metric",
    "Objective",
    "Panel",
    "Published",
    "Row",
    "Source",
    "graphite_of",
    "prometheus_of",
    "published",
    "rows",
    "rules",
    "source_of",
]
