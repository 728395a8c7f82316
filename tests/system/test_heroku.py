"""The Procfile's line as the platform starts it, behind a proxy that adds the router's headers."""

from __future__ import annotations

import json
import signal
import socket
import threading
from pathlib import Path

from tests.load import answer, poll, request
from tests.system.serving import Serve

ROOT = Path(__file__).parents[2]
PLATFORM = {
    "DYNO": "web.1",
    "WEB_CONCURRENCY": "02",
    "GUNICORN_CMD_ARGS": "--access-logfile -",
    "FORWARDED_ALLOW_IPS": "*",
    "DRAIN_SECONDS": "0.5",
}
ID = b"9c248150-03ac-4b24-b5a7-f7c1f0fb05ed"


class Router:
    """One request a connection, with the headers that Heroku's router adds."""

    def __init__(self, port: int) -> None:
        self.target = port
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            with client, socket.create_connection(("127.0.0.1", self.target)) as server:
                head, _, body = client.recv(65536).partition(b"\r\n")
                added = (
                    b"\r\nX-Request-ID: " + ID + b"\r\nX-Forwarded-For: 6.6.6.6, 203.0.113.9"
                    b"\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Port: 443"
                    b"\r\nX-Request-Start: 1795485278172\r\nVia: 1.1 vegur\r\n"
                )
                server.sendall(head + added + body)
                _, head, body = answer(server)
                client.sendall(head + b"\r\n\r\n" + body)


def test_as_the_platform_starts_it(serve: Serve) -> None:
    line = (ROOT / "Procfile").read_text().partition("web: ")[2].strip()
    with serve(command=line, **PLATFORM, RATE_LIMIT="1/hour") as server:
        router = Router(server.port)
        with socket.create_connection(("127.0.0.1", router.port)) as client:
            client.sendall(request())
            status, head, body = answer(client)
        assert (status, body) == (200, b'{"v":1}')
        assert b"x-request-id: " + ID in head.lower()
        poll(lambda: len(server.requests()) == 1)
        [line] = server.requests()
        assert line["request_id"] == ID.decode()
        assert "REDIS_URL" in server.output(), "SQLite is lost there, and the log says so"
        assert '"POST /add' not in server.output(), "no second access log"
        for each in server.output().splitlines():
            assert json.loads(each)
        assert len(server.workers()) == 2
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        router.listener.close()


def test_app_json_and_the_files_heroku_reads() -> None:
    app = json.loads((ROOT / "app.json").read_text())
    from falconkit.settings import Settings

    names = {each.metadata["name"] for each in Settings.__dataclass_fields__.values()}
    assert set(app["env"]) <= names
    values = {name: entry["value"] for name, entry in app["env"].items() if "value" in entry}
    Settings.from_env(values)
    assert all(entry["description"] for entry in app["env"].values())
    assert (ROOT / ".python-version").read_text().strip() == "3.11"
    assert "gunicorn==" in (ROOT / "requirements.txt").read_text()
