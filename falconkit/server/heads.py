"""Read a request's head before a thread is given to it.

gunicorn's threads wait for a head as long as its sender likes: as many clients
as there are threads, each with half a head, and nobody else is served.
"""

from __future__ import annotations

import os
import socket
import weakref
from contextlib import suppress
from typing import Any

from gunicorn.http.errors import InvalidRequestLine, LimitRequestHeaders, LimitRequestLine
from gunicorn.http.unreader import SocketUnreader

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


class Unreader(SocketUnreader):  # type: ignore[misc]
    """Reads bodies as gunicorn's does, and no head: that was here before the parser began.

    Of some heads that are whole but make no sense gunicorn_h1c wants more.
    """

    def __init__(self, sock: socket.socket, parser: Any) -> None:
        super().__init__(sock)
        self._parser = weakref.ref(parser)

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return what comes next of a body.

        Raises:
            ParseException: gunicorn's: it is still at the head.
        """
        parser: Any = self._parser()
        if parser.mesg is None or parser.mesg.req_number != parser.req_count:
            with suppress(BlockingIOError):
                if not self.sock.recv(1, _DONT_WAIT | socket.MSG_PEEK):
                    return b""  # the client has gone
            raise InvalidRequestLine("malformed head")
        data: bytes = super().chunk(size_hint)
        return data


def is_here(unreader: Any, sock: socket.socket, most: tuple[int, int]) -> bool:
    """Read what has come of a head; return whether it is whole, or never will be.

    Args:
        unreader: gunicorn's, which keeps what was read.
        sock: The connection.
        most: What `most_bytes` returned.

    Raises:
        ParseException: gunicorn's, of a head that can be refused as it is.
    """
    buffer = unreader.buf
    while True:
        if is_whole(buffer.getvalue(), most):
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


def is_whole(head: bytes, most: tuple[int, int]) -> bool:
    r"""Return whether the end of a head is in ``head``.

    >>> is_whole(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", (8190, 65536))
    True
    >>> is_whole(b"GET / HTTP/1.1\r\nHost: a\r\n", (8190, 65536))
    False

    Raises:
        ParseException: gunicorn's: it is over a limit, or cannot end (RFC 9112,
            2.2). gunicorn_h1c would wait for the end of such a line for ever.
    """
    # One empty line may come first (RFC 9112, 2.2).
    if head.find(b"\r\n\r\n", 2 if head.startswith(b"\r\n") else 0) >= 0:
        return True
    line, whole = most
    if len(head) > line + 2 and b"\r\n" not in head[2 : line + 4]:
        raise LimitRequestLine(len(head), line)
    if len(head) > whole:
        raise LimitRequestHeaders("max buffer headers")
    if head.count(b"\n") != head.count(b"\r\n"):
        raise InvalidRequestLine("bare LF as line terminator")
    return False
