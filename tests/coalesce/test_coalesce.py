from __future__ import annotations

import threading
import traceback
from concurrent.futures import ThreadPoolExecutor

import pytest

from falconkit import Context, layers
from falconkit.coalesce import coalesce
from falconkit.coalesce.flight import another
from falconkit.errors import (
    BodyTooLarge,
    ConfigurationError,
    DeadlineExceeded,
    Failed,
    Overloaded,
    RateLimited,
    Unauthenticated,
    UpstreamFailed,
)
from falconkit.testing import ManualClock, Script, wait_until
from falconkit.testing.specimens import Unprintable
from falconkit.transport import http

LONG = 30.0


def by_request(ctx, request):
    return request


class Held:
    """An endpoint whose first calls stay in flight until they are let go."""

    def __init__(self, *outcomes):
        self.go = threading.Event()
        self.script = Script(*outcomes)

    def __call__(self, ctx, request, /):
        self.go.wait(LONG)
        return self.script(ctx, request)


class Waits:
    """Waits as the default does, and knows how many do."""

    def __init__(self):
        self.lock = threading.Lock()
        self.seconds = []

    def __call__(self, landed, seconds):
        with self.lock:
            self.seconds.append(seconds)
        return landed.wait(LONG)


def together(held, number, contexts=None, **options):
    """Make so many equal calls, the first one first; let it end when all others wait."""
    waits = Waits()
    call = coalesce(key=by_request, wait=waits, **options)(held)
    contexts = contexts or [Context() for _ in range(number)]
    entered = threading.Event()

    def lead(ctx):
        entered.set()
        return call(ctx, "same")

    with ThreadPoolExecutor(number) as pool:
        futures = [pool.submit(lead, contexts[0])]
        assert entered.wait(LONG)
        layer_is_busy(call)
        futures += [pool.submit(call, ctx, "same") for ctx in contexts[1:]]
        wait_until(lambda: len(waits.seconds) == number - 1, LONG)
        held.go.set()
        return [outcome(each) for each in futures]


def layer_is_busy(call):
    flights = dict(zip(call.__code__.co_freevars, call.__closure__, strict=True))["flights"]
    wait_until(lambda: flights.cell_contents._in_flight, LONG)


def outcome(future):
    try:
        return future.result(LONG)
    except BaseException as error:
        return error


def test_equal_calls_in_flight_share_one():
    answer = object()
    held = Held(answer)
    answers = together(held, 8)
    assert all(each is answer for each in answers)
    assert len(held.script.calls) == 1


def test_nothing_is_kept_once_the_call_has_ended():
    call = coalesce(key=by_request)(Script(1, 2))
    assert [call(Context(), "same"), call(Context(), "same")] == [1, 2]


def test_other_questions_are_calls_of_their_own():
    held = Held("one")
    call = coalesce(key=by_request)(lambda ctx, request: held(ctx, 1) if request == 1 else request)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(call, Context(), 1)
        layer_is_busy(call)
        assert call(Context(), 2) == 2
        held.go.set()
        assert first.result(LONG) == "one"


def test_an_error_is_raised_to_all_each_with_a_traceback_of_its_own():
    error = RateLimited(retry_after=1.5, limit=3)
    first, *others = together(Held(error), 4)
    assert first is error
    assert len({id(each) for each in others}) == 3
    for each in others:
        assert type(each) is RateLimited
        assert each is not error
        assert (str(each), each.retry_after, each.limit) == (str(error), 1.5, 3)
        assert each.__cause__ is error
    frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
    assert "shared" not in frames
    assert frames.count("call") == 1


class Odd(Exception):
    def __init__(self, code, *, detail):
        super().__init__(f"{code}: {detail}")
        self.code, self.detail = code, detail


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        KeyError("v"),
        ConnectionRefusedError(111, "refused"),
        BodyTooLarge(7),
        Unauthenticated(challenge="Basic"),
        UpstreamFailed("no", upstream="billing", status=502),
        Failed(),
        Odd(7, detail="x"),
    ],
    ids=lambda each: type(each).__name__,
)
def test_another_of_an_error_is_equal_to_it(error):
    error.__notes__ = ["seen"]
    made = another(error)
    assert made is not error
    assert type(made) is type(error)
    assert made.args == error.args
    assert str(made) == str(error)
    assert vars(made) == vars(error)


def test_an_error_that_cannot_be_made_again_is_raised_itself():
    errors = [
        Unprintable(),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
        FileNotFoundError(2, "absent", "/x"),
    ]
    assert [another(error) for error in errors] == errors


def test_what_an_error_was_made_of_is_not_shared():
    error = ValueError("no")
    error.add_note("of both")
    made = another(error)
    made.seen = True
    made.add_note("of one")
    assert not hasattr(error, "seen")
    assert error.__notes__ == ["of both"]


@pytest.mark.parametrize("fatal", [SystemExit(3), KeyboardInterrupt(), GeneratorExit()])
def test_a_call_whose_thread_is_told_to_end_is_made_anew_by_one_of_the_others(fatal):
    held = Held(fatal, *["good"] * 3)
    first, *others = together(held, 4)
    assert first is fatal
    assert others == ["good"] * 3
    assert len(held.script.calls) <= 4


def test_a_nearer_deadline_than_theirs_is_not_the_others_failure():
    clock = ManualClock()
    near, far = clock.monotonic() + 1, clock.monotonic() + 100
    held = Held(DeadlineExceeded(), "good", "good", "good")
    contexts = [Context(deadline=each) for each in (near, far, None, near)]
    first, second, third, fourth = together(held, 4, contexts, clock=clock)
    assert isinstance(first, DeadlineExceeded)
    assert (second, third) == ("good", "good")
    assert isinstance(fourth, DeadlineExceeded)


@pytest.mark.parametrize("upstream", [None, "billing"])
def test_a_deadline_that_is_not_the_call_s_own_is_everybody_s(upstream):
    error = DeadlineExceeded()
    error.upstream = upstream
    held = Held(error)
    contexts = [Context(deadline=1e9 if upstream else None), Context(), Context()]
    assert {type(each) for each in together(held, 3, contexts)} == {DeadlineExceeded}
    assert len(held.script.calls) == 1


def test_a_stream_is_for_one_reader():
    def stream(ctx, request):
        return (chunk for chunk in (b"a", b"b"))

    held = Held(*[stream] * 3)
    streams = together(held, 3)
    assert [list(each) for each in streams] == [[b"a", b"b"]] * 3


def test_a_stream_that_http_wraps_is_for_one_reader():
    def stream(ctx, request):
        return http.Answer(chunk for chunk in (b"a", b"b"))

    answers = together(Held(*[stream] * 3), 3)
    assert [list(each.value) for each in answers] == [[b"a", b"b"]] * 3


def test_what_the_call_has_noted_all_its_callers_are_told():
    def noting(ctx, request):
        ctx.notes.leave("inside")
        return "good"

    contexts = [Context() for _ in range(3)]
    for ctx in contexts:
        ctx.notes.leave("outside")
    together(Held(noting), 3, contexts)
    assert [ctx.notes.of(str) for ctx in contexts] == [("outside", "inside")] * 3


def waiting_alone(wait, *, ctx, **options):
    """Call while an equal call is in flight, in this thread."""
    inner = {}
    made = []

    def endpoint(_, request):
        if made:
            raise AssertionError("called twice")
        made.append(request)
        return inner["call"](ctx, request)

    inner["call"] = coalesce(key=by_request, wait=wait, **options)(endpoint)
    return inner["call"](Context(), "same")


def test_a_wait_ends_by_its_own_deadline():
    clock = ManualClock()
    seconds = []

    def wait(landed, left):
        seconds.append(left)
        clock.advance(left)
        return False

    with pytest.raises(DeadlineExceeded):
        waiting_alone(wait, ctx=Context(deadline=clock.monotonic() + 0.5), clock=clock)
    assert seconds == [0.5]


def test_a_deadline_that_is_over_is_not_waited_for():
    clock = ManualClock()
    with pytest.raises(DeadlineExceeded):
        waiting_alone(None, ctx=Context(deadline=clock.monotonic() - 0.5), clock=clock)


def test_a_wait_without_a_deadline_has_a_bound():
    clock = ManualClock()
    seconds = []
    with pytest.raises(Overloaded) as caught:
        waiting_alone(
            lambda landed, left: seconds.append(left),
            ctx=Context(),
            clock=clock,
            max_wait=3.0,
            retry_after=2.0,
            rng=lambda low, high: high,
        )
    assert seconds == [3.0]
    assert caught.value.retry_after == 3.0


def test_so_many_wait_and_the_next_is_refused_at_once():
    held = Held("good")
    waits = Waits()
    call = coalesce(key=by_request, max_waiters=2, wait=waits)(held)
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(call, Context(), "same") for _ in range(3)]
        wait_until(lambda: len(waits.seconds) == 2, LONG)
        with pytest.raises(Overloaded):
            call(Context(), "same")
        held.go.set()
        assert [each.result(LONG) for each in futures] == ["good"] * 3


def test_a_failed_call_that_nobody_waits_for_leaves_no_cycle():
    import gc
    import weakref

    class Big:
        pass

    def fails(ctx, request):
        big = Big()
        seen.append(weakref.ref(big))
        raise ValueError("no")

    seen = []
    call = coalesce(key=by_request)(fails)
    gc.disable()
    try:
        with pytest.raises(ValueError, match="no"):
            call(Context(), 1)
        assert seen[0]() is None
    finally:
        gc.enable()


def test_threads_get_answers_to_their_own_questions():
    call = coalesce(key=by_request)(lambda ctx, request: request * 2)
    with ThreadPoolExecutor(32) as pool:
        asked = [at % 7 for at in range(5_000)]
        assert list(pool.map(lambda v: call(Context(), v), asked)) == [v * 2 for v in asked]


@pytest.mark.parametrize(
    "build",
    [
        lambda: coalesce(key=None),
        lambda: coalesce(key="user"),
        lambda: coalesce(key=by_request, max_wait=0),
        lambda: coalesce(key=by_request, max_wait=float("inf")),
        lambda: coalesce(key=by_request, max_waiters=0),
        lambda: coalesce(key=by_request, retry_after=-1),
    ],
)
def test_what_cannot_be_used_is_said_when_it_is_built(build):
    with pytest.raises(ConfigurationError):
        build()


def test_the_layer_shows_its_bounds():
    (layer,) = layers(coalesce(key=by_request)(Script()))
    assert layer.name == "coalesce"
    assert layer.config == {"max_wait": 10.0, "max_waiters": 64}
