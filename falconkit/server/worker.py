"""The worker class: it fails no call as it leaves."""

from __future__ import annotations

import gc
import math
import signal
import socket
import sys
from contextlib import suppress
from typing import Any

from gunicorn.arbiter import Arbiter
from gunicorn.workers.base import Worker as BaseWorker
from gunicorn.workers.gthread import STOP_KEEPALIVE_LINGER, TConn

from falconkit.errors import ConfigurationError
from falconkit.server import response
from falconkit.server.link import RETIRED, SERVING, link_of
from falconkit.server.patient import PatientWorker
from falconkit.server.served import find_app
from falconkit.settings import Settings

_MOST_AT_ONCE = 4096


class Worker(PatientWorker):
    """A gthread worker; ``docs/gunicorn.md`` says what it does otherwise than gunicorn's."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        settings = Settings.from_env()
        self._drain_seconds = min(settings.drain_seconds, max(0, self.cfg.graceful_timeout - 1))
        self._stuck_after = settings.stuck_after
        self._told_at: float | None = None
        self._accept_until = math.inf
        self._takes_rest = False

    def init_signals(self) -> None:
        """Leave a reload to the master: some supervisors signal the whole group."""
        super().init_signals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def load_wsgi(self) -> None:
        """Load the app; what is misconfigured is one line, and the server does not start."""
        try:
            super().load_wsgi()
        except ConfigurationError as ex:
            self.log.critical("%s", ex)
            self.log.debug("where it was found:", exc_info=True)
            sys.exit(Arbiter.APP_LOAD_ERROR)

    def run(self) -> None:
        """Serve until told to go."""
        # PERF: gunicorn reads some 40 settings a request by way of Config.__getattr__;
        # as plain attributes they take 17 us less (66 -> 49 for a whole request).
        self.cfg.__dict__.update((name, each.get()) for name, each in self.cfg.settings.items())
        response.install()
        # PERF: what is loaded by now stays for good. When Python's collector looks at all of
        # it once more it stops every thread for 7-14 ms; at what came since, for under 2.
        gc.collect()
        gc.freeze()
        super().run()

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Take a SIGTERM: the first counts; what it means is looked up in the main loop."""
        if self._told_at is None:
            self._told_at = self._now()
            self.method_queue.defer(self._leave)

    def handle_quit(self, sig: int, frame: Any) -> None:
        """End now."""
        # Not gthread's own, which shuts its thread pool down first: the signal may have
        # come while this thread is in the pool's lock, and it would wait for itself.
        BaseWorker.handle_quit(self, sig, frame)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait for what comes next, until it is time to stop accepting."""
        if self.alive and self._told_at is not None:
            timeout = max(0.0, min(timeout, self._accept_until - self._now()))
        super().wait_for_and_dispatch_events(timeout)
        if self._told_at is None:
            link = link_of(self)
            if link is not None and link.fate != SERVING:
                self.handle_exit(0, None)  # its signal came before we could hear it
        elif self.alive and self._now() >= self._accept_until:
            self._stop_accepting()

    def _leave(self) -> None:
        link = link_of(self)
        self.max_keepalived = 0  # gunicorn then says Connection: close in every answer
        if link is not None and link.fate == RETIRED:
            self._takes_rest = bool(self.cfg.reuse_port)
            self._stop_accepting()
            return
        self._takes_rest = True
        app = find_app(self.wsgi)
        if app is not None:
            app.drain()
        self.log.info("Draining: new calls are taken for %g s more", self._drain_seconds)
        self._accept_until = (self._told_at or 0.0) + self._drain_seconds

    def _stop_accepting(self) -> None:
        self.alive = False
        spent = self._now() - (self._told_at or 0.0)
        # A second less than the master waits: we end by ourselves, and flush.
        self._set_grace(max(0.0, self.cfg.graceful_timeout - spent - 1.0))

    def _set_grace(self, seconds: float) -> None:
        self.cfg.__dict__["graceful_timeout"] = seconds

    def set_accept_enabled(self, enabled: bool) -> None:
        """Accept or not; when it is not for good, later callers are refused at once."""
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        for listener in self.sockets:
            if self._takes_rest:
                self._take_rest(listener)
            listener.close()

    def _take_rest(self, listener: socket.socket) -> None:
        """Accept what is connected already, which would be reset by the close."""
        with suppress(OSError):
            for _ in range(_MOST_AT_ONCE):
                client, address = listener.accept()
                client.setblocking(True)
                self.nr_conns += 1
                self.enqueue_req(TConn(self.cfg, client, address, listener.getsockname()))

    def _cap_keepalive(self, deadline: float) -> None:
        """Close kept connections that were idle through the whole drain at once."""
        told_at = self._now() if self._told_at is None else self._told_at
        super()._cap_keepalive(max(self._now(), told_at + STOP_KEEPALIVE_LINGER))

    def give_up(self) -> None:
        """Make room for another worker: each thread of this one is stuck. Called by any thread."""
        self.log.critical("all %d threads are stuck: this worker is replaced", self.cfg.threads)
        self.method_queue.defer(self._give_up)

    def _give_up(self) -> None:
        if self._told_at is None:
            self._told_at = self._now()
        self.alive = False
        self._set_grace(max(1.0, self.cfg.timeout - self._stuck_after))
