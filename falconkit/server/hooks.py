"""Our work in gunicorn's hooks, put around whatever hooks the user has.

All hook names are free: a settings file may define ``worker_exit`` or any
other, and both run. At the start of a life (``on_starting``, ``pre_fork``,
``post_worker_init``) ours runs before the user's, at its end (``worker_exit``,
``child_exit``) after it, so that the user's always finds everything in place.
"""

from __future__ import annotations

import atexit
import faulthandler
import logging
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

from falconkit.server import master
from falconkit.server.backlog import Backlog
from falconkit.server.link import Link, link_of
from falconkit.server.served import Running, find_app, running, stack
from falconkit.server.watchdog import Watchdog
from falconkit.settings import Settings

Hook = Callable[..., None]
_MARK: Final = "__falconkit__"


def install(cfg: Any) -> None:
    """Put our hooks around those of ``cfg``, gunicorn's settings; a second time changes nothing."""
    for ours in (on_starting, pre_fork, post_worker_init, worker_abort, pre_exec):
        _combine(cfg, ours, first=True)
    for ours in (worker_exit, child_exit):
        _combine(cfg, ours, first=False)
    request = cfg.settings["pre_request"]
    if request.get() is request.default:
        cfg.set("pre_request", _nothing)  # PERF: 1 us a request for a debug line nobody reads


def _combine(cfg: Any, ours: Hook, *, first: bool) -> None:
    name = ours.__name__
    theirs = cfg.settings[name].get()
    if hasattr(theirs, _MARK):
        return

    def run(*args: Any) -> None:
        before, after = (ours, theirs) if first else (theirs, ours)
        try:
            before(*args)
        finally:
            after(*args)

    # gunicorn wants to see as many parameters as it will give.
    hook = (lambda a: run(a)) if ours.__code__.co_argcount == 1 else (lambda a, b: run(a, b))
    setattr(hook, _MARK, True)
    cfg.set(name, hook)


def _nothing(worker: Any, request: Any) -> None:
    pass


def on_starting(arbiter: Any) -> None:
    """In the master, before anything is bound or forked."""
    master.make_run_directory(arbiter)
    master.tell_fates(arbiter)
    master.halt_once(arbiter)


def pre_exec(arbiter: Any) -> None:
    """In the child that is about to become a new master (USR2)."""
    master.pass_run_directory_on(arbiter)


def pre_fork(arbiter: Any, worker: Any) -> None:
    """In the master, before it forks ``worker``."""
    worker.falconkit = Link()


def post_worker_init(worker: Any) -> None:
    """In the worker, which has loaded the app."""
    app = find_app(worker.wsgi)
    start = getattr(app, "start", None)
    if start is not None:
        start()  # before the master hears of us, and ends those that we replace
    link = link_of(worker)
    if link is not None:
        # On a fatal signal, and the abort of a silent worker is one. Python's own handler
        # cannot run while a call in C holds the interpreter.
        faulthandler.enable(link.dump, all_threads=True)
        link.boot()
    metrics = getattr(app, "metrics", None)
    worker.watchdog = Watchdog(
        lambda: running(worker),
        after=Settings.from_env().stuck_after,
        log=worker.log,
        tell=None if app is None else app.events.tell,
        threads=worker.cfg.threads,
        give_up=getattr(worker, "give_up", None),
        besides=None if metrics is None else Backlog(worker.sockets, metrics).look,
    )
    worker.watchdog.start()
    if metrics is not None:
        # Each live worker's share, so that they add up to what the host has.
        metrics.gauge("gunicorn.workers").set(1.0)
        metrics.gauge("gunicorn.threads").set(float(worker.cfg.threads))
        count_in = getattr(worker.log, "count_in", None)  # of our instrumented logger
        if count_in is not None:
            count_in(metrics)


def child_exit(arbiter: Any, worker: Any) -> None:
    """In the master, after ``worker`` has ended."""
    link = link_of(worker)
    if link is None:
        return
    words = link.last_words()
    if words:
        arbiter.log.critical(
            "the worker (pid:%s) died where its stacks say",
            worker.pid,
            extra={"stack": words.splitlines()},
        )
    link.close()


def worker_abort(worker: Any) -> None:
    """In a worker whose heartbeat has stopped, when its main thread can still run."""
    requests = running(worker)
    frames = sys._current_frames()
    handler = type(worker).handle_abort.__code__
    for each in requests:
        worker.log.critical(
            "the worker is aborted while it serves a request",
            extra={**each.named, "stack": stack(frames.get(each.thread), above=handler)},
        )
    if not requests:
        main = threading.main_thread().ident or 0
        worker.log.critical(
            "the worker is aborted", extra={"stack": stack(frames.get(main), above=handler)}
        )


def worker_exit(arbiter: Any, worker: Any) -> None:
    """In the worker, at its end: what it has counted is sent, and nothing holds it up."""
    if worker.pid != os.getpid():
        return  # the master says so of a worker that is gone already
    watchdog = getattr(worker, "watchdog", None)
    if watchdog is not None:
        watchdog.stop()
    app = find_app(getattr(worker, "wsgi", None))
    if app is not None:
        app.close()
    unfinished = running(worker)
    if unfinished:
        _leave_unfinished(worker, unfinished)


def _leave_unfinished(worker: Any, unfinished: list[Running]) -> None:
    for each in unfinished:
        worker.log.error("a request is cut off: the time to end is over", extra=each.named)
    # Python would wait for their threads until the master kills us.
    atexit._run_exitfuncs()
    logging.shutdown()
    os._exit(0)
