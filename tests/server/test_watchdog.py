from __future__ import annotations

import logging
import sys
import threading

import pytest

from falconkit import Context
from falconkit.events import RequestStuck
from falconkit.server.served import Running, find_app, running, stack
from falconkit.server.watchdog import Watchdog
from falconkit.testing import ManualClock
from falconkit.tracing import LeanTracer

HERE = threading.get_ident()
T = f"00-{'ab' * 16}-{'cd' * 8}-01"


class Kept(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record):
        self.records.append(record)


class Scene:
    def __init__(self, threads=2):
        self.clock = ManualClock(monotonic=100.0)
        self.now: list[Running] = []
        self.told: list[object] = []
        self.gave_up = 0
        self.kept = Kept()
        log = logging.Logger("dog")
        log.addHandler(self.kept)
        self.dog = Watchdog(
            lambda: self.now,
            after=20.0,
            log=log,
            tell=self.told.append,
            threads=threads,
            give_up=self.give_up,
            clock=self.clock,
        )

    def give_up(self):
        self.gave_up += 1


@pytest.fixture
def scene():
    return Scene()


def test_a_request_as_old_as_it_may_be_is_not_stuck(scene):
    scene.now = [Running(HERE, 80.0, "r1", "/add")]
    assert scene.dog.look() == []
    assert scene.kept.records == []
    assert scene.told == []


def test_an_older_one_is_told_once(scene):
    # The trace of some begins with their first span: it is the same request then.
    for trace_id in ("", "ab", "ab"):
        scene.now = [Running(HERE, 79.5, "r1", "/add", trace_id)]
        assert scene.dog.look() == scene.now
    [record] = scene.kept.records
    assert record.getMessage() == "a request is stuck: 20.5 s"
    assert (record.request_id, record.path, record.levelname) == ("r1", "/add", "ERROR")
    assert "test_an_older_one_is_told_once" in "".join(record.stack)
    assert scene.told == [RequestStuck("r1", 20.5)]


def test_the_next_request_of_the_same_thread_is_another(scene):
    scene.now = [Running(HERE, 70.0, "r1", "/add")]
    scene.dog.look()
    scene.now = [Running(HERE, 75.0, "r2", "/add")]
    scene.dog.look()
    scene.now = [Running(HERE, 75.0, "r2", "/add"), Running(1, 75.0, "r3", "/add")]
    scene.dog.look()
    assert [each.request_id for each in scene.told] == ["r1", "r2", "r3"]


def test_a_thread_that_has_just_ended_has_no_stack(scene):
    scene.now = [Running(-1, 0.0, "r1", "/add")]
    scene.dog.look()
    assert scene.kept.records[0].stack == []


def test_it_gives_up_once_and_only_when_every_thread_is_stuck(scene):
    scene.now = [Running(1, 0.0, "r1", "/"), Running(2, 99.0, "r2", "/")]
    scene.dog.look()
    assert scene.gave_up == 0
    scene.now = [Running(1, 0.0, "r1", "/"), Running(2, 1.0, "r2", "/")]
    scene.dog.look()
    scene.dog.look()
    assert scene.gave_up == 1


def test_its_thread_goes_on_after_a_failure_and_stops_when_told():
    looked = threading.Event()
    failed = threading.Event()

    def look():
        if failed.is_set():
            looked.set()
        failed.set()
        raise RuntimeError("no")

    kept = Kept()
    log = logging.Logger("dog")
    log.addHandler(kept)
    dog = Watchdog(look, after=0.01, log=log)
    dog.start()
    assert looked.wait(20)
    dog.stop()
    assert not [each for each in threading.enumerate() if each.name == "falconkit-watchdog"]
    assert kept.records[0].getMessage() == "the watchdog failed to look"


class App:
    def __init__(self):
        ctx = Context("GET", "/seven", "r7", span=LeanTracer("counter").join({"traceparent": T}))
        self.in_flight = {7: (5.0, ctx)}

    def drain(self): ...

    def __call__(self, environ, start_response): ...


class Wrapper:
    def __init__(self, name, inner):
        setattr(self, name, inner)

    def __call__(self, environ, start_response): ...


@pytest.mark.parametrize("name", ["application", "app", "wsgi_app", "__wrapped__"])
def test_the_app_is_found_inside_what_is_around_it(name):
    app = App()
    assert find_app(Wrapper("app", Wrapper(name, app))) is app


def test_what_is_no_falconkit_app_is_none():
    around_itself = Wrapper("other", None)
    around_itself.app = around_itself
    assert find_app(around_itself) is None
    assert find_app(None) is None
    assert find_app(lambda environ, start_response: []) is None


def test_running_joins_the_apps_table_and_the_workers():
    class Request:
        headers = (("HOST", "x"), ("X-REQUEST-ID", "r9"))
        path = "/nine"

    class Parser:
        mesg = Request

    class Conn:
        parser = Parser

    class Unparsed:
        parser = None

    class Worker:
        wsgi = App()
        busy = {7: (1.0, Conn), 9: (3.0, Conn), 8: (4.0, Unparsed)}  # noqa: RUF012

    assert running(Worker) == [
        Running(9, 3.0, "r9", "/nine"),
        Running(8, 4.0, "", ""),
        Running(7, 5.0, "r7", "/seven"),
    ]
    assert [each.named.get("trace_id") for each in running(Worker)] == [None, None, "ab" * 16]


def test_a_worker_that_has_loaded_nothing_runs_nothing():
    assert running(object()) == []


def test_a_stack_is_short_innermost_first_and_can_leave_a_handler_out():
    def handler():
        return sys._getframe()

    def serve():
        return handler()

    frame = serve()
    assert "in handler: return sys._getframe()" in stack(frame)[0]
    assert "in serve: return handler()" in stack(frame)[1]
    assert "in serve: return handler()" in stack(frame, above=handler.__code__)[0]
    assert len(stack(frame)) <= 16
