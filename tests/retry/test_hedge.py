import os
import threading
from contextvars import ContextVar, copy_context

import pytest

from falconkit import Context, chain, current, layers
from falconkit.context import ATTEMPT
from falconkit.errors import (
    ConfigurationError,
    Forbidden,
    RetriesExhausted,
    UpstreamFailed,
    UpstreamTimeout,
)
from falconkit.events import Events, HedgeSent, RetriesGaveUp, TryFailed
from falconkit.retry import Budget, Threads, hedge, retry
from falconkit.retry.latency import Latency
from falconkit.testing import ManualClock, Script, wait_until

GET = Context(method="GET")
PATIENCE = 60


@pytest.fixture
def threads():
    threads = Threads(8)
    yield threads
    threads.close()


class Gates:
    """An endpoint whose tries do as told once they may go on; a second try does the last."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.go = [threading.Event() for _ in outcomes]
        self.begun = [threading.Event() for _ in outcomes]
        self.contexts = [None for _ in outcomes]
        self._lock = threading.Lock()

    def __call__(self, ctx, request, /):
        with self._lock:
            # Of two tries of one call the second may well be here first.
            at = -1 if ctx.get(ATTEMPT) else self.contexts.index(None)
            self.contexts[at] = ctx
        self.begun[at].set()
        assert self.go[at].wait(PATIENCE)
        outcome = self.outcomes[at]
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def warm(call, gates, clock=None):
    """Let one quick call be seen, so that all that follow are slower than it."""
    gates.go[0].set()
    assert call(GET, 0) == "warm"


def hedged(threads, *outcomes, **options):
    gates = Gates("warm", *outcomes)
    call = hedge(threads, warm_up=1, at_least=0.0, clock=ManualClock(), **options)(gates)
    warm(call, gates)
    return call, gates


def aside(call, ctx=GET):
    """Call in a thread; returns what gives result or error once it has ended."""
    ended = []

    def run():
        try:
            ended.append(call(ctx, 7))
        except BaseException as error:
            ended.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def result():
        thread.join(PATIENCE)
        assert ended, "the call has not ended"
        return ended[0]

    return result


def test_the_second_is_sent_when_the_first_is_slow_and_taken_when_it_is_sooner(threads):
    heard = []
    ctx = Context(method="GET", events=Events(heard.append))
    call, gates = hedged(threads, "first", "second")
    result = aside(call, ctx)
    assert gates.begun[2].wait(PATIENCE)
    gates.go[2].set()
    assert result() == "second"
    assert heard == [HedgeSent("Gates")]
    gates.go[1].set()
    assert [each.get(ATTEMPT) for each in gates.contexts] == [None, None, 2]
    assert gates.contexts[1] is ctx


def test_the_first_is_taken_when_it_is_sooner_after_all(threads):
    call, gates = hedged(threads, "first", "second")
    result = aside(call)
    assert gates.begun[2].wait(PATIENCE)
    gates.go[1].set()
    assert result() == "first"
    gates.go[2].set()


def test_a_quick_call_is_not_hedged(threads):
    gates = Gates("warm", "first")
    call = hedge(threads, warm_up=1, at_least=600, clock=ManualClock())(gates)
    warm(call, gates)
    gates.go[1].set()
    assert call(GET, 7) == "first"


def test_one_failure_is_not_the_callers_and_is_told(threads):
    heard = []
    ctx = Context(method="GET", events=Events(heard.append))
    call, gates = hedged(threads, UpstreamFailed("lost"), "second")
    result = aside(call, ctx)
    assert gates.begun[2].wait(PATIENCE)
    gates.go[1].set()
    wait_until(lambda: TryFailed("Gates", 1, "UpstreamFailed") in heard)
    gates.go[2].set()
    assert result() == "second"


def test_the_losers_failure_is_told_though_the_caller_has_gone(threads):
    heard = []
    ctx = Context(method="GET", events=Events(heard.append))
    call, gates = hedged(threads, UpstreamTimeout("late"), "second")
    result = aside(call, ctx)
    assert gates.begun[2].wait(PATIENCE)
    gates.go[2].set()
    assert result() == "second"
    gates.go[1].set()
    wait_until(lambda: heard == [HedgeSent("Gates"), TryFailed("Gates", 1, "UpstreamTimeout")])


def test_when_both_fail_all_causes_are_there_and_nobody_tries_again(threads):
    heard = []
    ctx = Context(method="GET", events=Events(heard.append))
    call, gates = hedged(threads, UpstreamFailed("one"), UpstreamTimeout("two"))
    result = aside(retry()(call), ctx)
    assert gates.begun[2].wait(PATIENCE)
    for gate in gates.go:
        gate.set()
    error = result()
    assert isinstance(error, RetriesExhausted)
    assert isinstance(error, UpstreamFailed)
    assert {str(each) for each in error.causes} == {"one", "two"}
    assert error.why == "hedged"
    assert RetriesGaveUp("Gates", 2, "hedged") in heard
    wait_until(lambda: sum(isinstance(each, TryFailed) for each in heard) == 2)


@pytest.mark.parametrize(
    "error", [Forbidden(), KeyboardInterrupt(), SystemExit(3), StopIteration()]
)
def test_a_single_trys_error_comes_through_as_it_is(threads, error):
    gates = Gates("warm", error)
    call = hedge(threads, warm_up=1, at_least=600, clock=ManualClock())(gates)
    warm(call, gates)
    gates.go[1].set()
    raised = aside(call)()
    assert raised is error
    assert error.__cause__ is None


def test_who_is_told_to_end_ends_though_another_try_runs(threads):
    call, gates = hedged(threads, SystemExit(3), "second")
    result = aside(call)
    assert gates.begun[2].wait(PATIENCE)
    gates.go[1].set()
    assert isinstance(result(), SystemExit)
    gates.go[2].set()


def test_context_variables_go_along(threads):
    mine = ContextVar("mine")
    seen = []

    def look(ctx, request):
        seen.append((threading.current_thread().name, mine.get(), current.get() is ctx))
        return request

    call = hedge(threads, warm_up=1, at_least=600, clock=ManualClock())(look)

    def caller():
        mine.set("yes")
        call(GET, 1)
        current.set(GET)
        call(GET, 2)

    copy_context().run(caller)
    assert [each[1:] for each in seen] == [("yes", False), ("yes", True)]
    assert seen[1][0].startswith("falconkit-hedge")


# Which calls are hedged at all.


def test_a_call_that_may_not_be_repeated_passes_by(threads):
    client = Script(1)
    client.idempotent = False
    assert hedge(threads)(client) is client
    assert hedge(threads, idempotent=True)(client) is not client
    budget = Budget()
    plain = hedge(threads, budget=budget)(Script(1, 2))
    plain(Context(method="POST"), 7)
    assert budget.status()["calls"] == 0
    plain(GET, 7)
    assert budget.status()["calls"] == 1


def test_a_further_try_passes_by(threads):
    call, gates = hedged(threads, "second")
    gates.go[1].set()
    assert call(GET.having(ATTEMPT, 2), 7) == "second"
    assert gates.contexts[1].get(ATTEMPT) == 2


def test_a_spent_budget_leaves_one_try(threads):
    budget = Budget(0, floor=0)
    call, gates = hedged(threads, "first", budget=budget)
    result = aside(call)
    wait_until(lambda: budget.status()["refused"] == 1)
    gates.go[1].set()
    assert result() == "first"


def test_it_pays_from_the_budget_that_it_shares(threads):
    budget = Budget()
    gates = Gates("warm", "first", "second")
    both = chain(retry(budget=budget), hedge(threads, budget=budget, warm_up=1, at_least=0.0))
    call = both(gates)
    warm(call, gates)
    result = aside(call)
    assert gates.begun[2].wait(PATIENCE)
    gates.go[2].set()
    result()
    gates.go[1].set()
    assert budget.status() == {"calls": 2, "retries": 1, "refused": 0}


def test_none_is_sent_when_the_time_is_over(threads):
    clock = ManualClock()
    budget = Budget()
    gates = Gates("warm", "first")
    call = hedge(threads, warm_up=1, at_least=0.0, budget=budget, clock=clock)(gates)
    warm(call, gates)
    result = aside(call, Context(method="GET", deadline=clock.monotonic()))
    gates.go[1].set()
    assert result() == "first"
    assert budget.status()["retries"] == 0


# The threads.


def test_without_a_free_thread_calls_are_made_all_the_same():
    threads = Threads(2)
    gates = Gates("warm", "one", "two", "three")
    call = hedge(threads, warm_up=1, at_least=600, clock=ManualClock())(gates)
    warm(call, gates)
    busy = [aside(call) for _ in range(2)]
    for at in (1, 2):
        assert gates.begun[at].wait(PATIENCE)
    names = []

    def third(ctx, request):
        names.append(threading.current_thread().name)
        return 3

    other = hedge(threads, warm_up=1, at_least=600, clock=ManualClock())(third)
    other(GET, 0)
    assert other(GET, 0) == 3
    assert names == [threading.current_thread().name] * 2
    for gate in gates.go:
        gate.set()
    assert {each() for each in busy} == {"one", "two"}
    threads.close()


def test_closed_threads_end_and_calls_go_on_unhedged():
    threads = Threads(2)
    assert threads.start(lambda: 1).result(PATIENCE) == 1
    started = [each for each in threading.enumerate() if each.name.startswith("falconkit-hedge")]
    assert started
    threads.close()
    threads.close()
    wait_until(lambda: not any(each.is_alive() for each in started))
    assert threads.start(lambda: 1) is None
    call, gates = hedged(threads, "first")
    gates.go[1].set()
    assert call(GET, 7) == "first"


def test_when_no_thread_can_be_started_any_more_calls_go_on_unhedged(threads, monkeypatch):
    threads.start(lambda: 1).result(PATIENCE)

    def over(*args):
        raise RuntimeError("cannot schedule new futures after interpreter shutdown")

    monkeypatch.setattr(threads._executor, "submit", over)
    call, gates = hedged(threads, "first")
    gates.go[1].set()
    assert call(GET, 7) == "first"


def test_nothing_is_started_before_the_first_call():
    before = threading.active_count()
    threads = Threads(4)
    hedge(threads)(Script(1))(GET, 7)
    assert threading.active_count() == before
    threads.close()


def test_a_place_is_free_again_after_a_failure(threads):
    def fails():
        raise ValueError("x")

    for _ in range(50):
        future = None
        while future is None:
            future = threads.start(fails)
        assert isinstance(future.exception(PATIENCE), ValueError)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_process_has_threads_of_its_own(threads):
    assert threads.start(lambda: 1).result(PATIENCE) == 1
    pid = os.fork()
    if pid == 0:
        try:
            os._exit(threads.start(lambda: 7).result(PATIENCE))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


# How slow is slow.


def test_it_is_the_quantile_of_the_last_calls():
    latency = Latency(0.95, least=20)
    for _ in range(19):
        latency.add(1.0)
    assert latency.slow is None
    latency.add(1.0)
    assert latency.slow == 1.0
    for _ in range(256):
        latency.add(0.25)
    assert latency.slow == 0.25, "what is long ago has left no trace"
    for at in range(256):
        latency.add(at / 256)
    assert latency.slow == sorted(at / 256 for at in range(256))[243]


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: hedge(8), "hedge(8): give the Threads that calls run in"),
        (lambda: hedge(Threads(2), quantile=0), "quantile is 0"),
        (lambda: hedge(Threads(2), quantile=95), "quantile is 95: give a number between 0 and 1"),
        (lambda: hedge(Threads(2), warm_up=0), "warm_up is 0: give a whole number from 1 to 256"),
        (lambda: hedge(Threads(2), warm_up=300), "warm_up is 300"),
        (lambda: hedge(Threads(2), at_least=-1), "at_least is -1: give seconds from 0 to 3600"),
        (lambda: hedge(Threads(2), budget=1), "budget=1"),
        (lambda: hedge(Threads(2), idempotent=1), "idempotent=1"),
        (lambda: Threads(1), "Threads(1): give a whole number from 2 to 1024"),
        (lambda: Threads(2.0), "Threads(2.0)"),
    ],
)
def test_what_cannot_work_is_said_when_it_is_built(make, why):
    with pytest.raises(ConfigurationError) as raised:
        make()
    assert why in str(raised.value)


def test_it_shows_what_it_was_given(threads):
    (layer,) = layers(hedge(threads)(Script(1)))
    assert layer.name == "hedge"
    assert layer.config == {"threads": "Threads(8)", "quantile": 0.95, "budget": None}
