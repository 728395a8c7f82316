from __future__ import annotations

import gc
import logging
import os
import sys
import threading
import weakref

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit import Context, current
from falconkit.errors import ConfigurationError, OutcomeUnknown, RateLimited, UpstreamFailed
from falconkit.events import BackendFailed, FellBack, SheddingStopped
from falconkit.reporting import Report, Reporter
from falconkit.reporting.frames import chained, forget_locals, raised_at
from falconkit.reporting.repeats import Repeats
from falconkit.reporting.report import LONGEST_MESSAGE, LONGEST_TRACEBACK
from falconkit.testing import ManualClock, wait_until

CTX = Context("POST", "/pay", "r-1", caller="192.0.2.7")


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except type(error) as caught:
        return caught


@pytest.fixture
def told():
    return []


@pytest.fixture
def made():
    reporters = []

    def make(hook, **options):
        reporter = Reporter(hook, **options)
        reporters.append(reporter)
        return reporter

    yield make
    for each in reporters:
        each.close()


@pytest.fixture
def inline(made, told):
    return lambda **options: made(told.append, inline=True, clock=ManualClock(), **options)


def fail(reporter, error, status=500, ctx=CTX):
    reporter.failed(raised(error), ctx, "pay", status=status, expected=status != 500)


def test_what_a_hook_is_told_of_a_request(inline, told):
    fail(inline(), KeyError("iban"))
    [report] = told
    assert isinstance(report.error, KeyError)
    shown = [report.kind, report.message, report.endpoint, report.method, report.path]
    assert shown == ["request", "KeyError: 'iban'", "pay", "POST", "/pay"]
    assert (report.request_id, report.caller_kind, report.status) == ("r-1", "address", 500)
    assert (report.expected, report.level, report.repeated) == (False, "error", 0)
    assert report.at == 1_700_000_000.0
    assert "in raised" in report.traceback
    assert report.traceback.endswith("KeyError: 'iban'")


def test_what_an_upstream_failed_is_a_call(inline, told):
    fail(inline(), UpstreamFailed("billing answered 500", upstream="billing"), 502)
    assert (told[0].kind, told[0].upstream, told[0].level) == ("call", "billing", "warning")


@pytest.mark.parametrize(
    ("error", "status", "options", "reported"),
    [
        (KeyError("v"), 500, {}, True),
        (ValueError("v"), 400, {}, False),
        (RateLimited(), 429, {}, False),
        (RateLimited(), 503, {}, False),
        (RateLimited(), 429, {"also": [RateLimited]}, True),
        (OutcomeUnknown(), 503, {}, True),
        (OutcomeUnknown(), 503, {"never": [OutcomeUnknown]}, False),
        (OutcomeUnknown(), 503, {"also": [OutcomeUnknown], "never": (OutcomeUnknown,)}, False),
        (OutcomeUnknown(), 503, {"never": OutcomeUnknown}, False),
    ],
)
def test_which_errors_are_reported(inline, told, error, status, options, reported):
    fail(inline(**options), error, status)
    assert bool(told) is reported


@pytest.mark.parametrize(
    "options",
    [
        {"most": 0},
        {"per_minute": 0},
        {"per_minute": True},
        {"also": ["RateLimited"]},
        {"also": "RateLimited"},
        {"never": 503},
        {"events": [KeyError]},
        {"loggers": "falconkit"},
        {"loggers": [1]},
        {"redact": "iban"},
    ],
)
def test_what_cannot_be_used_is_said_at_once(options):
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        Reporter(print, **options)
    with pytest.raises(ConfigurationError, match="takes a Report"):
        Reporter("print")


def test_alike_errors_are_few_a_minute_and_counted(made, told):
    clock = ManualClock()
    reporter = made(told.append, inline=True, per_minute=2, clock=clock)
    for _ in range(5):
        fail(reporter, KeyError("v"))
    fail(reporter, ValueError("another kind"))
    assert [report.message for report in told] == ["KeyError: 'v'"] * 2 + [
        "ValueError: another kind"
    ]
    clock.advance(60)
    fail(reporter, KeyError("v"))
    assert told[-1].repeated == 3
    assert reporter.counts == {"reported": 4, "repeated": 3, "dropped": 0, "failed": 0}


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 90))), st.integers(1, 4))
def test_no_more_of_a_kind_in_a_minute_than_may_be_and_none_is_forgotten(calls, most):
    clock = ManualClock()
    repeats = Repeats(most, clock)
    admitted: dict[str, list[float]] = {"a": [], "b": [], "c": []}
    held = dict.fromkeys(admitted, 0)
    for kind, after in calls:
        clock.advance(after)
        found = repeats.admit(kind)
        if found is None:
            held[kind] += 1
            # It was held back for a reason: so many in the minute before.
            now = clock.monotonic()
            assert sum(now - at < 60 for at in admitted[kind]) >= most
        else:
            assert found == held[kind]
            held[kind] = 0
            admitted[kind].append(clock.monotonic())
    for times in admitted.values():
        # Windows follow each other: at a border two of them may be full.
        assert all(sum(at <= t < at + 60 for t in times) <= 2 * most for at in times)


def test_kinds_are_bounded():
    repeats = Repeats(1, ManualClock())
    for kind in range(5000):
        assert repeats.admit(kind) == 0
    assert len(repeats._kinds) == 256


def test_threads_get_no_more_than_may_be(made):
    told, clock = [], ManualClock()
    reporter = made(told.append, inline=True, per_minute=7, clock=clock)
    error = raised(KeyError("v"))

    def many():
        for _ in range(100):
            reporter.failed(error, CTX, "pay", status=500, expected=False)

    threads = [threading.Thread(target=many) for _ in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(told) == 7
    assert reporter.counts["repeated"] == 800 - 7


def test_a_full_queue_drops_and_counts_and_never_waits(made, caplog):
    held, told, entered = threading.Event(), [], threading.Event()

    def slow(report):
        entered.set()
        held.wait(120)
        told.append(report)

    reporter = made(slow, most=3, per_minute=1000)
    counted = []
    reporter._desk.count = lambda what, how_many: counted.append((what, how_many))
    fail(reporter, KeyError(0))
    assert entered.wait(60)
    for number in range(1, 11):
        fail(reporter, KeyError(number))
    assert reporter.counts["dropped"] == 7
    held.set()
    wait_until(lambda: reporter.counts["reported"] == 4, 60)
    assert [report.message for report in told] == [f"KeyError: {number}" for number in range(4)]
    assert counted.count(("dropped", 1)) == 7
    assert sum("are dropped" in record.getMessage() for record in caplog.records) == 1


def test_the_end_hands_over_what_waits_and_closes_the_hook():
    class Kept(list):
        closed = 0

        def __call__(self, report):
            self.append((report.message, threading.current_thread().name))

        def close(self):
            self.closed += 1

    hook = Kept()
    reporter = Reporter(hook, per_minute=100)
    for number in range(10):
        fail(reporter, KeyError(number))
    thread = reporter._desk._box._thread
    reporter.close()
    assert hook == [(f"KeyError: {number}", "falconkit-errors") for number in range(10)]
    assert hook.closed == 1
    fail(reporter, KeyError("too late"))
    assert reporter.counts["dropped"] == 1
    assert not thread.is_alive()


def test_a_hook_that_never_returns_does_not_hold_up_the_end(caplog, monkeypatch):
    monkeypatch.setattr("falconkit.reporting.outbox.LAST_FLUSH", 0.01)
    held, entered = threading.Event(), threading.Event()

    def stuck(report):
        entered.set()
        held.wait(120)

    reporter = Reporter(stuck)
    for number in range(4):
        fail(reporter, KeyError(number))
    assert entered.wait(60)
    thread = reporter._desk._box._thread
    reporter.close()
    assert reporter.counts["dropped"] == 4
    assert "4 error reports are given up" in caplog.text
    held.set()
    thread.join(60)


@pytest.mark.parametrize("in_place", [True, False])
def test_a_broken_hook_fails_nothing_and_is_logged_once_a_minute(made, caplog, in_place):
    clock = ManualClock()

    def broken(report):
        raise OSError("the tracker is away")

    reporter = made(broken, inline=in_place, clock=clock, per_minute=100)
    reporter.attach(lambda what, how_many: None)
    for number in range(5):
        fail(reporter, KeyError(number))
    wait_until(lambda: reporter.counts["failed"] == 5, 60)
    clock.advance(61)
    fail(reporter, KeyError(6))
    wait_until(lambda: reporter.counts["failed"] == 6, 60)
    lines = [record for record in caplog.records if record.name == "falconkit.reporting"]
    assert len(lines) == 2
    assert lines[0].exc_info[0] is OSError


def test_a_hook_whose_own_work_fails_is_not_told_of_it(made, told):
    def hook(report):
        told.append(report)
        logging.getLogger("falconkit.http").error("the tracker's client failed")
        reporter.report(KeyError("in the hook"))

    reporter = made(hook, inline=True)
    reporter.attach(lambda what, how_many: None)
    fail(reporter, KeyError("v"))
    assert [report.kind for report in told] == ["request"]


def test_a_worker_that_is_told_to_exit_in_an_inline_hook_exits(made):
    def leave(report):
        raise SystemExit(3)

    with pytest.raises(SystemExit):
        fail(made(leave, inline=True), KeyError("v"))


def test_a_counter_that_fails_is_logged(made, told, caplog):
    def broken(what, how_many):
        raise ValueError("no such counter")

    reporter = made(told.append, inline=True)
    reporter.attach(broken)
    fail(reporter, KeyError("v"))
    assert len(told) == 1
    assert "could not be counted" in caplog.text


def test_errors_of_ones_own_threads(inline, told):
    reporter = inline(redact=["iban"])
    reporter.report(raised(OSError("no room")), job="sweep", iban="DE1", token="t", url="x://u:p@h")
    token = current.set(CTX)
    reporter.report(ValueError("never raised"))
    current.reset(token)
    assert (told[0].kind, told[0].request_id, told[1].request_id) == ("own", "", "r-1")
    assert told[0].details == {
        "job": "sweep",
        "iban": "[redacted]",
        "token": "[redacted]",
        "url": "x://u:***@h",
    }
    assert told[1].traceback == "ValueError: never raised"


def test_events_of_trouble_are_reported_and_others_are_not(inline, told):
    reporter = inline()
    for event in (
        BackendFailed("statsd", "no such host"),
        FellBack("pay", "value", "KeyError"),
        SheddingStopped("pay", 1, 2.0),
    ):
        reporter.heard(event)
    [report] = told
    assert (report.kind, report.message, report.level) == ("event", "backend failed", "warning")
    assert report.details == {"backend": "statsd", "cause": "no such host"}
    inline(events=[FellBack]).heard(FellBack("pay", "value", "KeyError"))
    assert told[-1].message == "fell back"


def test_events_about_different_things_are_different_kinds(inline, told):
    reporter = inline(per_minute=1)
    for backend in ("statsd", "zipkin", "statsd"):
        reporter.heard(BackendFailed(backend, "away"))
    assert [report.details["backend"] for report in told] == ["statsd", "zipkin"]


def test_lines_of_background_threads_are_reported_until_the_end(inline, told):
    reporter = inline(loggers=["falconkit", "shop"])
    reporter.attach(lambda what, how_many: None)
    try:
        raise OSError("the flush failed")
    except OSError:
        logging.getLogger("falconkit.metrics").exception("metrics of %s", "statsd")
    logging.getLogger("shop.stock").error("the shelf fell over", extra={"token": "t", "shelf": 3})
    logging.getLogger("falconkit.metrics").warning("only a warning")
    logging.getLogger("falconkit.request").error("a request's line")
    logging.getLogger("other").error("nobody asked")
    reporter.close()
    logging.getLogger("shop.stock").error("too late")
    first, second = told
    assert (first.kind, first.message) == ("log", "metrics of statsd")
    assert isinstance(first.error, OSError)
    assert first.details == {"logger": "falconkit.metrics"}
    assert second.details == {"logger": "shop.stock", "token": "[redacted]", "shelf": 3}


def test_the_watchdog_s_line_says_which_request_it_is_about(inline, told):
    reporter = inline()
    reporter.attach(lambda what, how_many: None)
    extra = {"request_id": "r-9", "path": "/slow", "stack": ["app.py:3 in pay"]}
    logging.getLogger("gunicorn.error").error("a request is stuck: %.1f s", 20.5, extra=extra)
    [report] = told
    assert (report.request_id, report.path) == ("r-9", "/slow")
    assert report.details["stack"] == ["app.py:3 in pay"]


def test_an_error_that_was_reported_is_not_reported_again_when_it_is_logged(inline, told):
    reporter, other = inline(), inline(never=[ValueError])
    for each in (reporter, other):
        each.attach(lambda what, how_many: None)
    error = raised(KeyError("v"))
    reporter.failed(error, CTX, "pay", status=500, expected=False)
    log = logging.getLogger("falconkit.http")
    log.error("failed", exc_info=error)  # which the other has not heard of
    log.error("failed", exc_info=error)
    log.error("failed", exc_info=raised(ValueError("v")))
    assert sorted(report.kind for report in told) == ["log", "log", "request"]


def test_where_nobody_handles_the_log_python_still_prints_it(inline, told, monkeypatch, capsys):
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    monkeypatch.setattr(logging, "lastResort", logging._StderrHandler(logging.WARNING))
    reporters = [inline(), inline()]
    for each in reporters:
        each.attach(lambda what, how_many: None)
    logging.getLogger("falconkit.metrics").warning("statsd is away")
    assert capsys.readouterr().err == "statsd is away\n"


class Locals:
    """Something large that a request brought."""


def test_frames_lose_their_variables_unless_they_are_to_keep_them(inline, told):
    def endpoint(password, thing):
        inner(password)

    def inner(secret):
        raise KeyError("v")

    def call(reporter):
        thing = Locals()
        gone = weakref.ref(thing)
        try:
            endpoint("hunter2", thing)
        except KeyError as error:
            reporter.failed(error, CTX, "pay", status=500, expected=False)
        del thing
        gc.collect()
        return gone()

    def variables(error):
        trace = error.__traceback__
        while trace is not None:
            yield trace.tb_frame.f_code.co_name, trace.tb_frame.f_locals
            trace = trace.tb_next

    assert call(inline()) is None
    assert dict(variables(told[0].error)) == {"endpoint": {}, "inner": {}}
    assert call(inline(keep_locals=True)) is not None
    assert dict(variables(told[1].error))["inner"] == {"secret": "hunter2"}


def test_the_causes_lose_theirs_too_and_the_raiser_stays():
    def first(secret):
        raise OSError("first")

    def second(secret):
        try:
            first(secret)
        except OSError as ex:
            raise ExceptionGroup("both", [KeyError("v"), ex]) from ex

    try:
        second("hunter2")
    except ExceptionGroup as error:
        kept = error
        forget_locals(error)
    found = list(chained(kept))
    assert {type(each) for each in found} == {ExceptionGroup, OSError, KeyError}
    for each in found:
        trace = each.__traceback__
        while trace is not None:
            assert trace.tb_frame.f_locals == {}
            trace = trace.tb_next
    assert raised_at(kept)[0] == __file__
    assert raised_at(KeyError()) == ("", 0)


def test_a_chain_of_causes_is_followed_so_far():
    error = KeyError(0)
    last = error
    for number in range(1000):
        last.__cause__ = KeyError(number)
        last = last.__cause__
    last.__cause__ = error
    assert len(list(chained(error))) <= 33


class Unprintable(Exception):
    def __str__(self):
        raise ValueError("no words")


HOSTILE = [
    KeyError("x" * 10_000_000),
    KeyError("\udc80\x1b[31m\0"),
    Unprintable(),
    OSError("redis://app:hunter2@cache:6379/0 is away"),
]


@pytest.mark.parametrize("error", HOSTILE, ids=["long", "bytes", "unprintable", "secret"])
def test_texts_are_bounded_and_can_be_encoded(inline, told, error):
    fail(inline(), error, ctx=Context("POST" * 100, "/" + "p" * 9999, "r-1", caller="ann"))
    [report] = told
    assert len(report.message.encode()) <= LONGEST_MESSAGE
    assert len(report.traceback.encode()) <= LONGEST_TRACEBACK
    assert len(report.path.encode()) <= 300
    assert len(report.method) <= 20
    assert "hunter2" not in report.message + report.traceback
    assert report.caller_kind == "name"


def test_a_deep_recursion_is_bounded(inline, told):
    def deep(n):
        return deep(n + 1)

    try:
        deep(0)
    except RecursionError as error:
        inline().failed(error, CTX, "pay", status=500, expected=False)
    assert len(told[0].traceback.encode()) <= LONGEST_TRACEBACK
    assert "RecursionError" in told[0].traceback


def test_details_are_bounded(inline, told):
    inline().report(KeyError("v"), rows=["x" * 1000] * 1000, self=object(), error=1)
    assert len(str(told[0].details)) < 10_000


def test_what_is_no_error_of_ours_to_mark_is_reported_all_the_same(inline, told):
    class Odd(Exception):
        @property
        def __dict__(self):
            raise RuntimeError("none of your business")

    fail(inline(), Odd("v"))
    assert told[0].message == "Odd: v"


def test_a_forked_child_has_a_thread_of_its_own_and_nothing_of_its_parent_s(tmp_path):
    held, entered = threading.Event(), threading.Event()
    parent = os.getpid()

    def hook(report):
        if os.getpid() == parent:
            entered.set()
            held.wait(120)
        with (tmp_path / str(os.getpid())).open("a") as out:
            out.write(report.message + "\n")

    reporter = Reporter(hook)
    fail(reporter, KeyError("the parent's"))
    fail(reporter, KeyError("the parent's, too"))
    assert entered.wait(60)
    child = os.fork()
    if child == 0:
        try:
            fail(reporter, ValueError("the child's"))
            reporter.close()
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert (tmp_path / str(child)).read_text() == "ValueError: the child's\n"
    held.set()
    reporter.close()
    assert len((tmp_path / str(parent)).read_text().splitlines()) == 2


def test_nothing_is_started_before_the_first_error(told):
    reporter = Reporter(told.append)
    assert reporter._desk._box._thread is None
    reporter.close()


def test_no_room_for_a_thread_is_no_failure(told, monkeypatch):
    reporter = Reporter(told.append)

    def refuse(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        fail(reporter, KeyError("first"))
    fail(reporter, KeyError("second"))
    reporter.close()
    assert [report.message for report in told] == ["KeyError: 'first'", "KeyError: 'second'"]


def test_a_report_can_be_made_by_hand():
    report = Report(kind="own", message="v")
    assert (report.traceback, report.level, dict(report.details)) == ("", "error", {})
    with pytest.raises((AttributeError, TypeError)):
        report.message = "changed"


def test_a_signal_handler_may_report_what_it_interrupts():
    """As a worker's abort does: the thread may be anywhere in here."""
    told: list[Report] = []
    reporter = Reporter(told.append, per_minute=10**6, most=10**6)
    inside = False

    def trace(frame, event, arg):
        nonlocal inside
        if not inside and "falconkit/reporting" in frame.f_code.co_filename:
            inside = True
            reporter.report(ValueError("of a signal"))
            inside = False
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        fail(reporter, KeyError("of a request"))
    finally:
        sys.settrace(before)
    reporter.close()
    messages = [report.message for report in told]
    assert messages.count("KeyError: 'of a request'") == 1
    assert messages.count("ValueError: of a signal") > 10
