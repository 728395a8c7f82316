"""Services that go on answering and never come to an end, in no real time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

from falconkit import timed
from falconkit.testing import ManualClock
from falconkit.testing.peer import Peer, Reply


def timing(monkeypatch: Any, *modules: ModuleType) -> ManualClock:
    """Return the clock by which answers are timed from now on; a socket's own waits stay real."""
    clock = ManualClock()
    for module in (timed, *modules):
        monkeypatch.setattr(module, "system_clock", clock)
    return clock


def endless(
    piece: bytes,
    first: bytes = b"",
    clock: ManualClock | None = None,
    begin: threading.Event | None = None,
) -> Reply:
    """Return a reply that sends ``first``, then ``piece`` each second of ``clock``, or at once.

    It goes on while somebody takes it; ``begin`` is waited for before the first piece.
    """

    def reply(peer: Peer, connection: socket.socket) -> None:
        connection.sendall(first)
        assert begin is None or begin.wait(60)
        while not peer.closed.is_set():
            if clock is not None:
                clock.advance(1.0)
                peer.closed.wait(0.001)
            connection.sendall(piece)

    return reply


@contextmanager
def dripping_port(clock: ManualClock) -> Iterator[int]:
    """Yield a port that reads all it gets, then sends a byte each second of ``clock``."""
    ended = threading.Event()

    def serve() -> None:
        with suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                while connection.recv(65536):
                    pass
                while not ended.wait(0.001):
                    clock.advance(1.0)
                    connection.sendall(b"x")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(60)
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            ended.set()
            thread.join(60)
