"""A real graphite-web, served by the Python of its package."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.metrics.servers import Carbon, ask
from tests.services import _answers as answers
from tests.services import _child as child
from tests.services import free_port, require

_PYTHON = "/usr/bin/python3"

_SETTINGS = """
SECRET_KEY = "for tests"
TIME_ZONE = "UTC"
STORAGE_DIR = LOG_DIR = {folder!r}
INDEX_FILE = {folder!r} + "/index"
WHISPER_DIR = {whisper!r}
STANDARD_DIRS = [WHISPER_DIR]
CARBONLINK_HOSTS = ["127.0.0.1:{query}"]
DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {folder!r} + "/db"}}}}
ALLOWED_HOSTS = ["*"]
FIND_CACHE_DURATION = DEFAULT_CACHE_DURATION = 0
FIND_TOLERANCE = 0
"""

_SERVE = """
import socketserver, sys
from wsgiref.simple_server import WSGIServer, make_server
from graphite.wsgi import application

class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

make_server("127.0.0.1", int(sys.argv[1]), application, Server).serve_forever()
"""


class GraphiteWeb:
    """A graphite-web, asked by its API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def render(self, target: str, since: str = "-10min") -> list[dict[str, Any]]:
        """Return the series of a target, as a browser would ask for them."""
        query = {"target": target, "format": "json", "from": since, "noCache": "1"}
        found: list[dict[str, Any]] = json.loads(
            ask(f"{self.url}/render?{urllib.parse.urlencode(query)}")
        )
        return found

    def save(self, name: str, state: str) -> None:
        """Save a dashboard, as its page does."""
        body = urllib.parse.urlencode({"state": state}).encode()
        answer = json.loads(ask(f"{self.url}/dashboard/save/{name}", body))
        assert answer == {"success": True}, answer

    def load(self, name: str) -> Any:
        """Return the state of a dashboard, as its page asks for it."""
        return json.loads(ask(f"{self.url}/dashboard/load/{name}"))["state"]


@contextlib.contextmanager
def graphite_web(carbon: Carbon) -> Iterator[GraphiteWeb]:
    """Start graphite-web over what ``carbon`` has, written or not."""
    require("graphite-manage")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        settings = _SETTINGS.format(folder=folder, whisper=str(carbon.whisper), query=carbon.query)
        Path(folder, "graphite_settings.py").write_text(settings)
        environment = {
            "GRAPHITE_SETTINGS_MODULE": "graphite_settings",
            "DJANGO_SETTINGS_MODULE": "graphite.settings",
            "PYTHONPATH": folder,
        }
        subprocess.run(
            [_PYTHON, "-W", "ignore", "-m", "django", "migrate", "--run-syncdb"],
            env=os.environ | environment,
            capture_output=True,
            check=True,
            timeout=300,
        )
        argv = ["env", *(f"{name}={value}" for name, value in environment.items())]
        argv += [_PYTHON, "-W", "ignore", "-c", _SERVE, str(port)]
        ready = answers(port, b"GET /metrics/find?query=* HTTP/1.0\r\n\r\n", b" 200 ")
        with child(argv, ready, Path(folder), timeout=120):
            yield GraphiteWeb(f"http://127.0.0.1:{port}")
