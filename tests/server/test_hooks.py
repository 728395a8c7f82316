from __future__ import annotations

import os
import queue
import signal

import pytest
from gunicorn.config import Config
from gunicorn.errors import HaltServer

from falconkit.server import hooks, master
from falconkit.server.link import RETIRED, SERVING, STOPPED, Link, link_of
from falconkit.testing import ManualClock

NAMES = ("on_starting", "pre_fork", "post_worker_init", "worker_abort", "pre_exec")
LATE = ("worker_exit", "child_exit")


def noting(ran, name, count):
    def one(a):
        ran.append(name)

    def two(a, b):
        ran.append(name)

    return one if count == 1 else two


def test_each_hook_is_combined_once():
    ran: list[str] = []
    cfg = Config()
    for name in (*NAMES, *LATE):
        cfg.set(name, noting(ran, name, getattr(hooks, name).__code__.co_argcount))
    hooks.install(cfg)
    installed = {name: cfg.settings[name].get() for name in (*NAMES, *LATE)}
    hooks.install(cfg)
    assert installed == {name: cfg.settings[name].get() for name in (*NAMES, *LATE)}

    class Worker:
        pid = -1

    cfg.worker_exit(None, Worker())
    cfg.child_exit(None, Worker())
    cfg.pre_fork(None, worker := Worker())
    assert isinstance(link_of(worker), Link)
    link_of(worker).close()
    assert ran == ["worker_exit", "child_exit", "pre_fork"]


def test_gunicorns_debug_line_a_request_is_left_out_and_a_users_hook_is_not():
    cfg = Config()
    hooks.install(cfg)
    assert cfg.pre_request(None, None) is None

    def theirs(worker, request): ...

    cfg.set("pre_request", theirs)
    hooks.install(cfg)
    assert cfg.pre_request is theirs


def test_the_masters_word_about_a_worker_that_is_gone_flushes_nothing():
    class Gone:
        pid = os.getpid() + 1

        @property
        def wsgi(self):
            raise AssertionError("the app of another process")

    hooks.worker_exit(None, Gone())


def test_a_fate_is_decided_once():
    link = Link()
    assert (link.fate, link.booted, link.last_words()) == (SERVING, False, "")
    link.tell(STOPPED)
    link.tell(RETIRED)
    link.boot()
    assert (link.fate, link.booted) == (STOPPED, True)
    link.close()


class Worker:
    def __init__(self, age, booted=True):
        self.age = age
        self.falconkit = Link()
        if booted:
            self.falconkit.boot()

    @property
    def fate(self):
        return self.falconkit.fate


class Arbiter:
    def __init__(self, **workers):
        self.WORKERS = {int(pid[1:]): worker for pid, worker in workers.items()}
        self.SIG_QUEUE: queue.SimpleQueue[int] = queue.SimpleQueue()
        self.reexec_pid = self.master_pid = 0
        self.killed: list[tuple[int, int]] = []
        self.reap = lambda: None

    def kill_worker(self, pid, sig):
        self.killed.append((pid, sig))

    def kill_workers(self, sig):
        for pid in list(self.WORKERS):
            self.kill_worker(pid, sig)

    def reap_workers(self):
        self.reap()


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def told(clock):
    made = []

    def make(**workers):
        arbiter = Arbiter(**workers)
        made.append(workers.values())
        master.tell_fates(arbiter, clock=clock)
        return arbiter

    yield make
    for workers in made:
        for worker in workers:
            link = link_of(worker)
            if link is not None:
                link.close()


def test_a_stop_tells_all_that_it_is_one(told, clock):
    arbiter = told(p1=Worker(1), p2=Worker(2, booted=False))
    arbiter.kill_workers(signal.SIGTERM)
    assert [worker.fate for worker in arbiter.WORKERS.values()] == [STOPPED, STOPPED]
    assert arbiter.killed == [(1, signal.SIGTERM), (2, signal.SIGTERM)]
    assert clock.slept == []


@pytest.mark.parametrize("which", ["reexec_pid", "master_pid"])
def test_beside_another_master_a_stop_is_not_to_be_noticed(told, which):
    arbiter = told(p1=Worker(1))
    setattr(arbiter, which, 77)
    arbiter.kill_workers(signal.SIGTERM)
    assert arbiter.WORKERS[1].fate == RETIRED


def test_other_signals_tell_nothing(told):
    arbiter = told(p1=Worker(1))
    arbiter.kill_workers(signal.SIGUSR1)
    arbiter.kill_worker(1, signal.SIGABRT)
    assert arbiter.WORKERS[1].fate == SERVING
    assert len(arbiter.killed) == 2


def test_an_old_worker_is_retired_when_the_new_ones_have_booted(told, clock):
    new = Worker(3, booted=False)
    arbiter = told(p1=Worker(1), p2=Worker(2), p3=new)
    seen = []

    def reap():
        seen.append(arbiter.WORKERS[2].fate)
        if len(seen) == 3:
            new.falconkit.boot()

    arbiter.reap = reap
    arbiter.kill_worker(2, signal.SIGTERM)
    assert seen == [SERVING] * 3
    assert arbiter.WORKERS[2].fate == RETIRED
    assert arbiter.WORKERS[1].fate == SERVING
    assert arbiter.killed == [(2, signal.SIGTERM)]
    assert clock.slept == [0.05] * 3


def test_new_workers_that_never_boot_are_waited_for_so_long(told, clock):
    arbiter = told(p1=Worker(1), p2=Worker(2, booted=False))
    arbiter.kill_worker(1, signal.SIGTERM)
    assert sum(clock.slept) == pytest.approx(master.BOOT_SECONDS, abs=0.06)
    assert arbiter.killed == [(1, signal.SIGTERM)]


def test_a_worker_that_ends_meanwhile_is_not_killed(told):
    arbiter = told(p1=Worker(1), p2=Worker(2, booted=False))
    arbiter.reap = lambda: arbiter.WORKERS.pop(1, None) and arbiter.WORKERS[2].falconkit.boot()
    worker = arbiter.WORKERS[1]
    arbiter.kill_worker(1, signal.SIGTERM)
    assert arbiter.killed == []
    worker.falconkit.close()


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_stop_ends_the_wait_and_stays_in_the_queue(told, clock, sig):
    arbiter = told(p1=Worker(1), p2=Worker(2, booted=False))
    for each in (signal.SIGCHLD, sig):
        arbiter.SIG_QUEUE.put_nowait(each)
    arbiter.kill_worker(1, signal.SIGTERM)
    assert clock.slept == []
    assert [arbiter.SIG_QUEUE.get_nowait() for _ in range(2)] == [signal.SIGCHLD, sig]


def test_workers_of_another_make_are_left_as_they_are(told, clock):
    arbiter = told(p1=object())
    arbiter.kill_worker(1, signal.SIGTERM)
    arbiter.kill_workers(signal.SIGTERM)
    assert arbiter.killed == [(1, signal.SIGTERM)] * 2
    assert clock.slept == []


class Log:
    def __init__(self):
        self.said: list[str] = []

    def warning(self, message, *args):
        self.said.append(message % args)


def test_a_host_without_a_place_is_warned_of(monkeypatch):
    monkeypatch.setattr(master.rundir, "create", lambda *args, **options: None)
    monkeypatch.delenv("FALCONKIT_RUN", raising=False)
    arbiter = Arbiter()
    arbiter.cfg, arbiter.log = Config(), Log()
    master.make_run_directory(arbiter)
    assert "FALCONKIT_RUN" not in os.environ
    [warning] = arbiter.log.said
    assert "set FALCONKIT_RUN to a folder" in warning
    master.pass_run_directory_on(arbiter)
    assert "shares no limits" in arbiter.log.said[1]


class Failing:
    """An arbiter whose workers cannot load the app, each of which it learns by itself."""

    def __init__(self, workers: int) -> None:
        self.left = workers
        self.halted: list[tuple[str | None, int]] = []

    def reap_workers(self) -> None:
        if self.left:
            self.left -= 1
            raise HaltServer("App failed to load.", 4)

    def halt(self, reason: str | None = None, exit_status: int = 0) -> None:
        self.reap_workers()
        self.halted.append((reason, exit_status))


def test_an_app_that_no_worker_can_load_halts_the_server_once():
    arbiter = Failing(workers=3)
    master.halt_once(arbiter)
    with pytest.raises(HaltServer):
        arbiter.reap_workers()
    arbiter.halt("App failed to load.", 4)
    assert (arbiter.left, arbiter.halted) == (0, [("App failed to load.", 4)])
