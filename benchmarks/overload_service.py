"""The service of overload.py: an endpoint that waits for a backend, behind what GUARD names."""

import os
import socket
import threading

from msgspec import Struct

from falconkit import Context, chain
from falconkit.bulkhead import bulkhead, share
from falconkit.shedding import AIMD, Gradient2, shed
from falconkit.transport import http

ADDRESS = ("127.0.0.1", int(os.environ["BACKEND"]))
WORKERS, PLACES = 2, 8
GUARDS = {
    "none": chain(),
    "bulkhead": bulkhead(share(PLACES, WORKERS), max_wait=0.05, max_waiters=2),
    "gradient": shed(Gradient2()),
    "aimd": shed(AIMD(timeout=0.1)),
}
kept = threading.local()


class Ask(Struct):
    """Nothing is asked."""


def work(ctx: Context, request: Ask) -> str:
    """Wait for the backend."""
    backend = getattr(kept, "socket", None)
    if backend is None:
        backend = kept.socket = socket.create_connection(ADDRESS)
    backend.sendall(b"x")
    backend.recv(1)
    return "done"


app = http.app()
app.get("/work", work, GUARDS[os.environ["GUARD"]])
