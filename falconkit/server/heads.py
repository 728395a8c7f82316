"""Read a request's head before a thread is given to it.

gunicorn's threads wait for a head as long as its sender likes: as many clients
as there are threads, each with half a head, and nobody else is served.
"""

from __future__ import annotations

import os
import socket
from typing import Any

_DONT_WAIT = getattr(socket, "MSG_DONTWAIT", 0)
_CHUNK = 8192


def can_read(cfg: Any) -> bool:
    """Return whether heads can be read ahead: plain HTTP/1 that begins with the request."""
    return bool(_DONT_WAIT) and not (
        cfg.is_ssl
        or "h2" in cfg.http_protocols
        or getattr(cfg, "protocol", "http") != "http"
        or str(getattr(cfg, "proxy_protocol", "off")).lower() not in ("off", "false")
    )


def most_bytes(cfg: Any) -> tuple[int, int]:
    """Return the bytes that gunicorn takes of a request line, and of a whole head."""
    line = cfg.limit_request_line or 1 << 20
    fields = cfg.limit_request_fields or 32768
    return line, line + fields * ((cfg.limit_request_field_size or 8190) + 2) + 4


def is_here(unreader: Any, sock: socket.socket, most: tuple[int, int]) -> bool:
    """Read what has come; return whether the parser can decide without waiting for more.

    Args:
        unreader: gunicorn's, which keeps what was read.
        sock: The connection.
        most: What `most_bytes` returned.
    """
    buffer = unreader.buf
    while True:
        if is_decided(buffer.getvalue(), most):
            return True
        try:
            # PERF: the one recv that the parser would do, now without a wait.
            chunk = sock.recv(_CHUNK, _DONT_WAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True
        if not chunk:
            return True
        buffer.seek(0, os.SEEK_END)
        buffer.write(chunk)


def is_decided(head: bytes, most: tuple[int, int]) -> bool:
    r"""Return whether ``head`` is whole, or can be refused as it is.

    >>> is_decided(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", (8190, 65536))
    True
    >>> is_decided(b"GET / HTTP/1.1\r\nHost: a\r\n", (8190, 65536))
    False
    """
    # One empty line may come first (RFC 9112, 2.2).
    if head.find(b"\r\n\r\n", 2 if head.startswith(b"\r\n") else 0) >= 0:
        return True
    line, whole = most
    if len(head) > whole or (len(head) > line + 2 and b"\r\n" not in head[: line + 2]):
        return True
    # A bare LF, which ends nothing: the parser refuses it at once.
    return head.count(b"\n") != head.count(b"\r\n")
