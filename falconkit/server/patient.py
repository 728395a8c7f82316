"""A gthread worker that gives no thread to a client who is slow to say what it wants."""

from __future__ import annotations

from functools import partial
from selectors import EVENT_READ
from threading import get_ident
from typing import Any, Final

from gunicorn import util
from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn

from falconkit.server import heads
from falconkit.server.brisk import BriskWorker
from falconkit.settings import Settings

_WAITING: Final = object()


class PatientWorker(BriskWorker):
    """Waits for a request's head in the main loop, as gunicorn does for the next request.

    Attributes:
        busy: Of each thread that serves a request: since when (seconds of the
            monotonic clock), and on which of gunicorn's connections.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.busy: dict[int, tuple[float, TConn]] = {}
        self._head_seconds = Settings.from_env().body_timeout
        self._reads_heads = heads.can_read(self.cfg)
        self._most = heads.most_bytes(self.cfg)
        self._waiting: dict[TConn, None] = {}

    def handle(self, conn: TConn) -> Any:
        """Serve the request of a connection, or say that its head is not here. In a thread."""
        if not self._reads_heads:
            return super().handle(conn)
        if not conn.initialized:
            conn.init()
            conn.parser.unreader = heads.Unreader(conn.sock, conn.parser)
        try:
            if not heads.is_here(conn.parser.unreader, conn.sock, self._most):
                return _WAITING
        except ParseException as ex:
            self.handle_error(None, conn.sock, conn.client, ex)
            return False
        conn.data_ready, conn.head_until = True, None
        thread = get_ident()
        self.busy[thread] = (self._now(), conn)
        try:
            return super().handle(conn)
        finally:
            del self.busy[thread]

    def finish_request(self, conn: TConn, fs: Any) -> None:
        """Keep, close or wait for more of a connection. In the main loop."""
        if fs.cancelled() or fs.exception() is not None or fs.result() is not _WAITING:
            super().finish_request(conn, fs)
            return
        now = self._now()
        if getattr(conn, "head_until", None) is None:
            conn.head_until = now + self._head_seconds
        conn.timeout = conn.head_until
        if now >= conn.timeout:  # however busily it trickles
            self._refuse(conn)
            return
        if not self.alive:
            conn.timeout = min(conn.timeout, now + STOP_KEEPALIVE_LINGER)
        self._waiting[conn] = None
        self.poller.register(conn.sock, EVENT_READ, partial(self._on_more, conn))

    def _on_more(self, conn: TConn, sock: Any) -> None:
        self.poller.unregister(sock)
        del self._waiting[conn]
        self.enqueue_req(conn)

    def murder_pending(self) -> None:
        """Close the connections whose head did not arrive in time."""
        super().murder_pending()
        if not self._sweeps:
            return
        now = self._now()
        for conn in [each for each in self._waiting if each.timeout <= now]:
            del self._waiting[conn]
            self.poller.unregister(conn.sock)
            self._refuse(conn)

    def _refuse(self, conn: TConn) -> None:
        self.nr_conns -= 1
        if conn.parser.unreader.buf.getvalue():
            self.log.warning(
                "Invalid request from ip=%s: its head did not arrive in %g s",
                conn.client[0] if isinstance(conn.client, tuple) and conn.client else "",
                self._head_seconds,
            )
            util.write_error(conn.sock, 408, "Request Timeout", "")
        conn.close()

    def _cap_keepalive(self, deadline: float) -> None:
        """Bound what may hold a leaving worker up by being silent."""
        super()._cap_keepalive(deadline)
        # gunicorn forgets these: one silent client would hold it for the whole grace.
        until = self._now() + STOP_KEEPALIVE_LINGER
        for conn in (*self.pending_conns, *self._waiting):
            conn.timeout = min(conn.timeout, until)
