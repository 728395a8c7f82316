"""Stands in for a Zipkin or a collector: takes what is posted, or does worse."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
import threading
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class Receiver(AbstractContextManager["Receiver"]):
    """An HTTP server on loopback that keeps the bodies that it is sent.

    Attributes:
        statuses: What to answer, one after the other; 202 when it is empty.
        url: Where it is.
    """

    def __init__(self, port: int = 0) -> None:
        self.statuses: list[int] = []
        self.posts: list[tuple[str, dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.posts.append((self.path, headers, body))
                self.send_response(receiver.statuses.pop(0) if receiver.statuses else 202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def spans(self) -> list[dict[str, Any]]:
        """All spans that were posted in Zipkin's form."""
        return [span for _, _, body in self.posts for span in json.loads(body)]


class Silent(AbstractContextManager["Silent"]):
    """Accepts connections and never answers.

    Attributes:
        url: Where it is.
        accepted: How many have come.
    """

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def accepted(self) -> int:
        return len(self._open)

    def _run(self) -> None:
        while True:
            try:
                self._open.append(self._socket.accept()[0])
            except OSError:
                return

    def __exit__(self, *error: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join()
        for each in self._open:
            each.close()


class Dripping(Silent):
    """Answers a byte a second, and never comes to an end.

    Attributes:
        dripped: How many bytes it has sent.
    """

    def __init__(self) -> None:
        self.dripped = 0
        self._ended = threading.Event()
        super().__init__()
        self._drips = threading.Thread(target=self._drip)
        self._drips.start()

    def _drip(self) -> None:
        answer = itertools.chain(b"HTTP/1.1 202 ", itertools.repeat(ord("A")))
        while not self._ended.wait(1.0):
            byte = next(answer) if self._open else None
            for each in tuple(self._open if byte else ()):
                with contextlib.suppress(OSError):
                    each.sendall(bytes((byte,)))
                    self.dripped += 1

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        self._drips.join()
        super().__exit__(*error)


def by_name(spans: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = (span for span in spans if span["name"] == name)
    return found
