"""Reports into Sentry, by its own SDK: the extra ``sentry``."""

from __future__ import annotations

import datetime
from typing import Any, Final

from falconkit.extras import need
from falconkit.reporting.report import Report

_FLUSH: Final = 1.5
_OURS: Final = ("falconkit", "falconkit.*", "gunicorn.error")


class SentryHook:
    """Sends each report to Sentry: ``app.on_error(SentryHook())``.

    ``sentry_sdk.init`` is yours to call, as ever, and before the first error; with
    ``default_integrations=False``, since Sentry's own hooks would tell of the same errors again.
    The request id, trace id, endpoint and kind are tags, by which an event is found.

    Raises:
        ConfigurationError: ``sentry-sdk`` is not installed.
    """

    def __init__(self) -> None:
        self._sdk: Any = need(
            "sentry", "sentry_sdk", "sentry_sdk.utils", "sentry_sdk.integrations.logging"
        )
        self._event_of = self._sdk.utils.event_from_exception
        # Their errors come by way of the hook, and have an id.
        for name in _OURS:
            self._sdk.integrations.logging.ignore_logger(name)

    def __call__(self, report: Report) -> None:
        """Send one."""
        event: dict[str, Any] = {"message": report.message}
        hint: dict[str, Any] = {}
        if report.error is not None:
            event, hint = self._event_of(
                report.error,
                client_options=self._sdk.get_client().options,
                mechanism={"type": "falconkit", "handled": False},
            )
        event["level"] = report.level
        event["timestamp"] = datetime.datetime.fromtimestamp(report.at, datetime.UTC)
        event["tags"] = {name: value for name, value in _tags(report).items() if value}
        event["contexts"] = {"falconkit": _context(report)}
        if report.endpoint:
            event["transaction"] = report.endpoint
        self._sdk.capture_event(event, hint)

    def close(self) -> None:
        """Wait until what was sent has gone out, for 1.5 s at most."""
        self._sdk.flush(timeout=_FLUSH)


def _tags(report: Report) -> dict[str, str]:
    return {
        "kind": report.kind,
        "expected": str(report.expected).lower(),
        "status": str(report.status or ""),
        "endpoint": report.endpoint,
        "request_id": report.request_id,
        "trace_id": report.trace_id,
        "upstream": report.upstream,
    }


def _context(report: Report) -> dict[str, Any]:
    return {
        "message": report.message,
        "method": report.method,
        "path": report.path,
        "caller_kind": report.caller_kind,
        "repeated": report.repeated,
        "details": dict(report.details),
    }
