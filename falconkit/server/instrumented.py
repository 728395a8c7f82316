"""A logger class that counts what gunicorn's StatsD logger counts, under the same names."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from falconkit.metrics import Metrics
from falconkit.server import logger


class Logger(logger.Logger):
    """For dashboards that were made for gunicorn's own metrics: ``logger_class`` of the settings.

    ``gunicorn.requests``, ``gunicorn.request.status`` by ``status``, ``gunicorn.request.duration``
    and ``gunicorn.log`` by ``level``: by the default rule StatsD and Graphite get
    ``gunicorn.request.status.200`` and ``gunicorn.log.warning`` of them, as from gunicorn.
    They count whatever the worker serves, a falconkit app's own pages too, and
    go where the app's other metrics go. What the master logs is in no worker's metrics.
    """

    _counters: _Counters | None = None

    def count_in(self, metrics: Metrics) -> None:
        """Count from now on; called in a worker that has loaded its app."""
        self._counters = _Counters(metrics)

    def access(self, resp: Any, req: Any, environ: Any, request_time: timedelta) -> None:
        """Count a request that was answered."""
        if self._counters is not None:
            self._counters.answered(resp.status, request_time.total_seconds())

    def critical(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Write, and count."""
        super().critical(msg, *args, **kwargs)
        self._logged("critical")

    def error(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Write, and count."""
        super().error(msg, *args, **kwargs)
        self._logged("error")

    def warning(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Write, and count."""
        super().warning(msg, *args, **kwargs)
        self._logged("warning")

    def exception(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        """Write, and count."""
        super().exception(msg, *args, **kwargs)
        self._logged("exception")

    def _logged(self, level: str) -> None:
        if self._counters is not None:
            self._counters.logged(level)


class _Counters:
    def __init__(self, metrics: Metrics) -> None:
        self._requests = metrics.counter("gunicorn.requests").labels()
        self._status = metrics.counter("gunicorn.request.status", ("status",))
        self._duration = metrics.histogram("gunicorn.request.duration").labels()
        self._log = metrics.counter("gunicorn.log", ("level",))

    def answered(self, status: str | bytes | int, seconds: float) -> None:
        # gunicorn's is "200 OK", as the app said it; bytes from some apps.
        text = status.decode("latin-1") if isinstance(status, bytes) else str(status)
        self._requests.add()
        self._status.labels(text.partition(" ")[0]).add()
        self._duration.observe(seconds)

    def logged(self, level: str) -> None:
        self._log.labels(level).add()
