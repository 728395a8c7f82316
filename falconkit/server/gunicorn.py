"""Settings: ``gunicorn -c python:falconkit.server.gunicorn MODULE:app``.

A service that wants some of its own has a file of them, and all of gunicorn's
hooks are free in it (`falconkit.server.hooks`)::

    from falconkit.server.gunicorn import *
    threads = 8

The values hold for a platform that gives a process 30 s to end and a request
30 s for its first byte, behind a router that keeps connections for 90 s.
"""

from __future__ import annotations

import math
import os

from falconkit.settings import Settings

__all__ = [
    "bind",
    "control_socket_disable",
    "forwarded_allow_ips",
    "forwarder_headers",
    "graceful_timeout",
    "keepalive",
    "logger_class",
    "loglevel",
    "max_requests",
    "preload_app",
    "threads",
    "timeout",
    "worker_class",
    "worker_tmp_dir",
    "workers",
]

_settings = Settings.from_env()

bind = [f"0.0.0.0:{_settings.port}"]
workers = _settings.web_concurrency
worker_class = "falconkit.server.worker.Worker"
threads = 4
logger_class = "falconkit.server.logger.Logger"
loglevel = _settings.log_level.lower()

keepalive = 100  # longer than the router keeps its end, or it sends into a closed connection
timeout = 25  # under the 30 s after which the platform answers for us
graceful_timeout = min(28, max(25, math.ceil(_settings.drain_seconds) + 3))

# Who may say that the call came by https. The router's addresses are not known;
# that there is one is what TRUSTED_HOPS says.
forwarded_allow_ips = "*" if _settings.trusted_hops else "127.0.0.1,::1"
forwarder_headers = ""  # no header, whoever sends it, changes the path

max_requests = 0
preload_app = False  # what a library opens before the fork, all workers would share
worker_tmp_dir = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108 - unlinked
control_socket_disable = True  # one path for all servers of a user: the second could not start it
