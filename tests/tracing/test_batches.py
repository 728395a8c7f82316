"""Spans on their way out: bounded, counted, tried again, and gone with a fork."""

from __future__ import annotations

import logging
import os
import random
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit import Context
from falconkit.errors import ConfigurationError
from falconkit.events import BackendFailed, Events
from falconkit.testing import wait_until
from falconkit.tracing import BatchReporter, LeanTracer, NotDelivered
from falconkit.tracing.batches import Batches

NEVER = 3600.0


class Sink(Batches):
    """Delivers to a list, or fails as it is told."""

    def __init__(self, *errors: Exception | None, **options) -> None:
        super().__init__("sink", self.send, **({"interval": NEVER} | options))
        self.errors = list(errors)
        self.batches: list[list[str]] = []

    def send(self, spans) -> None:
        if self.errors:
            error = self.errors.pop(0)
            if error is not None:
                raise error
        self.batches.append([span.name for span in spans])


def reporting(sink: Batches) -> BatchReporter:
    reporter = BatchReporter("sink")
    reporter.report = sink.put
    return reporter


def put(sink: Sink, how_many: int, name: str = "s") -> None:
    tracer = LeanTracer("counter", reporter=reporting(sink))
    for n in range(how_many):
        tracer.open(Context(), f"{name}{n}").finish()


def names(how_many: int) -> list[str]:
    return [f"s{n}" for n in range(how_many)]


@pytest.fixture
def unstarted(monkeypatch):
    """No thread: the test takes the turns itself."""
    monkeypatch.setattr(Batches, "_start", lambda self: None)


@pytest.mark.usefixtures("unstarted")
def test_spans_go_in_batches_in_their_order():
    sink = Sink(batch=4)
    put(sink, 10)
    assert sink.waiting == 10
    assert [sink.turn() for _ in range(4)] == [0.0, NEVER, NEVER, NEVER]
    assert [name for each in sink.batches for name in each] == names(10)
    assert [len(each) for each in sink.batches] == [4, 4, 2]
    assert (sink.sent, sink.dropped, sink.waiting) == (10, 0, 0)


@pytest.mark.usefixtures("unstarted")
def test_a_full_queue_drops_what_comes_and_counts_it():
    counted = []
    sink = Sink(most=3)
    sink.attach(Events(), lambda what, n: counted.append((what, n)))
    put(sink, 5)
    sink.flush()
    put(sink, 1)
    sink.flush()
    assert sink.batches == [names(3), ["s0"]]
    assert (sink.sent, sink.dropped) == (4, 2)
    assert counted == [("dropped", 1), ("dropped", 1), ("sent", 3), ("sent", 1)]


@pytest.mark.usefixtures("unstarted")
def test_a_batch_is_tried_later_and_later_and_then_given_up(caplog):
    heard = []
    sink = Sink(*[NotDelivered("away")] * 9, batch=2, tries=4, rng=random.Random(1))
    sink.attach(Events(heard.append), lambda what, n: None)
    put(sink, 5)
    waits = [sink.turn() for _ in range(9)]
    longest = [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0, 30.0]
    assert all(most / 2 <= each <= most for most, each in zip(longest, waits, strict=True))
    # Two batches of four tries each are gone; the third is on its second.
    assert (sink.dropped, sink.waiting) == (4, 1)
    assert heard == [BackendFailed("sink", "away")]
    assert sink.turn() == NEVER
    assert sink.batches == [["s4"]]
    assert (sink.sent, sink.dropped, sink.waiting) == (1, 4, 0)
    put(sink, 1)
    sink.errors = [NotDelivered("again")]
    assert sink.turn() <= 1.0
    assert heard[1:] == [BackendFailed("sink", "again")]


@pytest.mark.usefixtures("unstarted")
def test_what_can_never_be_delivered_is_dropped_at_once_and_said(caplog):
    sink = Sink(ValueError("bad span"), batch=2)
    put(sink, 3)
    sink.turn()
    sink.turn()
    assert sink.batches == [["s2"]]
    assert (sink.sent, sink.dropped) == (1, 2)
    assert "cannot be sent to sink" in caplog.text
    assert "trying again: ValueError: bad span" in caplog.text


@pytest.mark.usefixtures("unstarted", "silent")
@given(st.lists(st.integers(0, 7) | st.sampled_from(["away", "bad", "turn"]), max_size=60))
def test_every_span_is_sent_dropped_or_waits(steps):
    counted = {"sent": 0, "dropped": 0}

    def count(what: str, n: int) -> None:
        counted[what] += n

    sink = Sink(batch=3, most=10, tries=2)
    sink.attach(Events(), count)
    made = 0
    for step in steps:
        if step == "away":
            sink.errors.append(NotDelivered("away"))
        elif step == "bad":
            sink.errors.append(ValueError("bad"))
        elif step == "turn":
            sink.turn()
        else:
            put(sink, step)
            made += step
        assert sink.waiting <= 10 + 3
        assert sink.sent + sink.dropped + sink.waiting == made
        assert counted == {"sent": sink.sent, "dropped": sink.dropped}
    assert sum(map(len, sink.batches)) == sink.sent


@pytest.fixture
def silent():
    logger = logging.getLogger("falconkit.tracing")
    logger.disabled = True
    yield
    logger.disabled = False


def threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name == "falconkit-spans-sink"]


def test_the_thread_starts_with_the_first_span_and_ends_with_the_last():
    sink = Sink(interval=0.01)
    assert threads() == []
    put(sink, 3)
    assert len(threads()) == 1
    wait_until(lambda: sink.sent == 3)
    put(sink, 1)
    sink.close()
    assert threads() == []
    assert (sink.sent, sink.dropped) == (4, 0)
    put(sink, 2)
    assert (sink.sent, sink.dropped, threads()) == (4, 2, [])
    sink.close()


def test_a_full_batch_does_not_wait_for_the_interval():
    sink = Sink(batch=5)
    put(sink, 5)
    wait_until(lambda: sink.sent == 5)
    sink.close()


def test_an_end_in_trouble_counts_what_is_left(caplog):
    sink = Sink(*[NotDelivered("away")] * 5)
    put(sink, 7)
    sink.close()
    assert (sink.sent, sink.dropped, sink.waiting) == (0, 7, 7)
    assert "has not taken the last 7 spans" in caplog.text


def test_many_threads_lose_no_span():
    sink = Sink(batch=50, most=100_000, interval=0.001)
    workers = [threading.Thread(target=put, args=(sink, 500)) for _ in range(16)]
    for each in workers:
        each.start()
    for each in workers:
        each.join()
    sink.close()
    assert (sink.sent, sink.dropped) == (8_000, 0)
    assert sum(map(len, sink.batches)) == 8_000


def child_of(work) -> int:
    """Run ``work`` in a forked child; returns its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_child_sends_nothing_of_its_parent_s_and_has_a_thread_of_its_own(caplog):
    sink = Sink()
    put(sink, 3)
    assert len(threads()) == 1

    def work() -> None:
        assert threads() == []
        assert (sink.waiting, sink.sent, sink.dropped) == (0, 0, 0)
        put(sink, 2, "child")
        assert len(threads()) == 1
        sink.close()
        assert sink.batches == [["child0", "child1"]]

    assert child_of(work) == 0
    sink.close()
    assert sink.batches == [names(3)]


def test_locks_held_at_the_fork_stop_no_child():
    sink = Sink(most=1)

    def work() -> None:
        put(sink, 2)
        sink.close()
        assert (sink.sent, sink.dropped) == (1, 1)

    with sink._sending, sink._counting:
        assert child_of(work) == 0


@pytest.mark.parametrize("ending", ["", "sys.exit(3)", "1 / 0"])
def test_the_end_of_a_program_flushes(tmp_path, ending):
    source = f"""
import sys
from falconkit import Context
from falconkit.tracing import FileReporter, LeanTracer
tracer = LeanTracer("job", reporter=FileReporter({str(tmp_path / "spans")!r}, interval=3600))
tracer.open(Context(), "work").finish()
{ending}
"""
    subprocess.run([sys.executable, "-c", source], timeout=60, check=False, capture_output=True)
    assert (tmp_path / "spans").read_text().count("\n") == 1


@pytest.mark.parametrize(
    "wrong",
    [{"most": 0}, {"batch": 0}, {"tries": 0}, {"interval": 0.0}, {"interval": float("inf")}],
)
def test_numbers_that_cannot_work_are_said_at_once(wrong):
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Sink(**wrong)
