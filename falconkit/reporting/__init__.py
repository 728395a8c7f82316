"""Errors, handed to one function of yours; see ``docs/concerns/errors.md``."""

from falconkit.reporting.desk import Hook
from falconkit.reporting.report import Report
from falconkit.reporting.reporter import LOGGERS, TROUBLE, Options, Reporter

__all__ = ["LOGGERS", "TROUBLE", "Hook", "Options", "Report", "Reporter"]
