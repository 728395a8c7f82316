"""A backend on loopback whose calls stay in flight until they are let go."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType

LONG = 60.0


class Backend:
    """Echoes each byte that it is sent, once ``go`` is set; knows how many waited at once."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.now = self.most = self.total = 0
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]

    def __enter__(self) -> Backend:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.go.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(LONG)
            while asked := connection.recv(1):
                with self._lock:
                    self.total += 1
                    self.now += 1
                    self.most = max(self.most, self.now)
                self.go.wait(LONG)
                with self._lock:
                    self.now -= 1
                connection.sendall(asked)
