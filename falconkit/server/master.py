"""What gunicorn's master does more than gunicorn: it tells a worker why it is to go."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from pathlib import Path
from typing import Any

from gunicorn.errors import HaltServer

from falconkit.arena import rundir
from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError
from falconkit.server.link import RETIRED, STOPPED, link_of

BOOT_SECONDS = 20.0
"""How long a reload waits at most for the new workers before the old ones go."""


def make_run_directory(arbiter: Any) -> None:
    """Make what the workers share, for `falconkit.arena`; it goes when the master does."""
    uid, gid = arbiter.cfg.uid, arbiter.cfg.gid
    try:
        path = rundir.create(
            arbiter.cfg.proc_name,
            uid=-1 if uid == os.geteuid() else uid,
            gid=-1 if gid == os.getegid() else gid,
        )
    except ConfigurationError as ex:
        arbiter.log.critical("%s", ex)
        if arbiter.pidfile is not None:
            arbiter.pidfile.unlink()
        sys.exit(1)
    if path is None:
        arbiter.log.warning(
            "no folder can be made that the workers share: each limits and counts for itself; "
            "set %s to a folder that can be written",
            rundir.VARIABLE,
        )
        return
    os.environ[rundir.VARIABLE] = str(path)
    # Not in on_exit, which a server that finds its port taken never gets to.
    atexit.register(_remove, path, os.getpid())


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # the workers, being forks, have this exit function too
        rundir.remove(path)


def tell_fates(arbiter: Any, *, clock: Clock = system_clock) -> None:
    """Have ``arbiter`` tell each worker why it gets its SIGTERM.

    Args:
        arbiter: gunicorn's.
        clock: Whose seconds bound the wait for new workers.
    """
    kill_worker, kill_workers = arbiter.kill_worker, arbiter.kill_workers

    def kill_all(sig: int) -> None:
        if sig == signal.SIGTERM:
            # While another master is on the same sockets nobody has to notice.
            upgrading = arbiter.reexec_pid or arbiter.master_pid
            for worker in list(arbiter.WORKERS.values()):
                _tell(worker, RETIRED if upgrading else STOPPED)
        kill_workers(sig)

    def kill(pid: int, sig: int) -> None:
        worker = arbiter.WORKERS.get(pid)
        if sig == signal.SIGTERM and worker is not None and _is_serving(worker):
            _await_successors(arbiter, worker, clock)
            if pid not in arbiter.WORKERS:
                return
            _tell(worker, RETIRED)
        kill_worker(pid, sig)

    arbiter.kill_workers, arbiter.kill_worker = kill_all, kill


def halt_once(arbiter: Any) -> None:
    """Have ``arbiter`` say once that the app cannot be loaded, however many workers tried.

    gunicorn meets the second of them while it stops for the first, and would
    end there with a traceback and the third still running.
    """
    halt, reap = arbiter.halt, arbiter.reap_workers
    halting = False

    def halt_now(reason: str | None = None, exit_status: int = 0) -> None:
        nonlocal halting
        halting = True
        halt(reason, exit_status)

    def reap_workers() -> None:
        while True:
            try:
                reap()
            except HaltServer:
                if not halting:
                    raise
            else:
                return

    arbiter.halt, arbiter.reap_workers = halt_now, reap_workers


def pass_run_directory_on(arbiter: Any) -> None:
    """Give a new master, which starts with the environment of the old one's start, the folder."""
    path = os.environ.get(rundir.VARIABLE)
    if path:
        arbiter.cfg.env_orig[rundir.VARIABLE] = path
    else:
        arbiter.log.warning("the new master shares no limits and counts with the old one")


def _tell(worker: Any, fate: int) -> None:
    link = link_of(worker)
    if link is not None:
        link.tell(fate)


def _is_serving(worker: Any) -> bool:
    link = link_of(worker)
    return link is not None and link.fate not in (RETIRED, STOPPED)


def _await_successors(arbiter: Any, worker: Any, clock: Clock) -> None:
    """Let an old worker serve until the new ones do: an app may take seconds to load."""
    until = clock.monotonic() + BOOT_SECONDS
    while clock.monotonic() < until and not _is_told_to_stop(arbiter):
        newer = [each for each in arbiter.WORKERS.values() if each.age > worker.age]
        if all(link is None or link.booted for link in map(link_of, newer)):
            return
        arbiter.reap_workers()  # which ends the server when a new worker cannot load the app
        clock.sleep(0.05)


def _is_told_to_stop(arbiter: Any) -> bool:
    waiting = []
    while not arbiter.SIG_QUEUE.empty():
        waiting.append(arbiter.SIG_QUEUE.get_nowait())
    for each in waiting:
        arbiter.SIG_QUEUE.put_nowait(each)
    return not {signal.SIGTERM, signal.SIGINT, signal.SIGQUIT}.isdisjoint(waiting)
