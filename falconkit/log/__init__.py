"""Logs: one line a request, one line a record, in one schema; see ``docs/concerns/log.md``."""

from falconkit.log.console import ConsoleFormatter
from falconkit.log.events import log_events
from falconkit.log.handler import Handler, Sink
from falconkit.log.json_lines import JsonFormatter
from falconkit.log.jsonable import jsonable
from falconkit.log.line import RequestLine
from falconkit.log.logfmt import LogfmtFormatter
from falconkit.log.middleware import log
from falconkit.log.setup import formatter_for, setup

__all__ = [
    "ConsoleFormatter",
    "Handler",
    "JsonFormatter",
    "LogfmtFormatter",
    "RequestLine",
    "Sink",
    "formatter_for",
    "jsonable",
    "log",
    "log_events",
    "setup",
]
