"""gunicorn's error log, one line of JSON each; its access log is never used."""

from __future__ import annotations

import logging
import sys
from typing import Any

from gunicorn import glogging

from falconkit.log import Handler, formatter_for, setup
from falconkit.server import hooks
from falconkit.settings import Settings


class Logger(glogging.Logger):  # type: ignore[misc]
    """Writes what gunicorn says by falconkit's formatters, to stdout.

    It is also what puts our hooks in place: gunicorn makes its logger first, at
    the start and at each reload, with the settings as they finally are, after
    the user's file, ``GUNICORN_CMD_ARGS`` and the command line.
    """

    def setup(self, cfg: Any) -> None:
        """Take the settings, which from here on are ours wherever that matters."""
        hooks.install(cfg)
        if cfg.accesslog is not None:
            cfg.set("accesslog", None)
        super().setup(cfg)
        if not logging.getLogger().handlers:
            settings = Settings.from_env()
            setup(settings.log_format, settings.log_level)

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Write nothing: a request has its line already, from the log middleware."""

    def _compute_access_log_enabled(self) -> bool:
        return False

    def _set_handler(self, log: Any, output: Any, fmt: Any, stream: Any = None) -> None:
        formatter = formatter_for(Settings.from_env().log_format, sys.stdout)
        if output != "-":
            super()._set_handler(log, output, formatter, stream)
            return
        old = self._get_gunicorn_handler(log)
        if old is not None:
            log.handlers.remove(old)
        handler = Handler(sys.stdout, formatter=formatter)
        handler._gunicorn = True  # type: ignore[attr-defined]
        log.addHandler(handler)
