import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconkit import Context, chain, layers
from falconkit.deadline import check, deadline, seconds_left, timeout
from falconkit.errors import ConfigurationError, DeadlineExceeded
from falconkit.testing import ManualClock, Script

START = 1_000.0


def test_a_call_gets_so_many_seconds():
    inner = Script(1)
    ctx = Context(path="/a", request_id="r-1")
    assert timeout(2.5, clock=ManualClock(monotonic=START))(inner)(ctx, 7) == 1
    assert inner.contexts[0].deadline == START + 2.5
    assert (inner.contexts[0].path, inner.contexts[0].request_id) == ("/a", "r-1")
    assert ctx.deadline is None


def test_a_sooner_deadline_stays_and_so_does_its_context():
    inner = Script(1)
    ctx = Context(deadline=START + 1)
    timeout(2, clock=ManualClock(monotonic=START))(inner)(ctx, 7)
    assert inner.contexts[0] is ctx


@pytest.mark.parametrize("make", [timeout, deadline], ids=["timeout", "deadline"])
@pytest.mark.parametrize("late", [0.0, 0.5, 100.0])
def test_a_call_whose_time_is_over_is_refused_at_once(make, late):
    clock = ManualClock(monotonic=START)
    middleware = deadline(clock=clock) if make is deadline else timeout(2, clock=clock)
    inner = Script(name="ask")
    with pytest.raises(DeadlineExceeded, match="deadline exceeded: ask was not called"):
        middleware(inner)(Context(deadline=START - late), 7)
    assert inner.calls == []


@settings(deadline=None)
@given(
    st.lists(st.floats(0.001, 86_400), min_size=1, max_size=5),
    st.one_of(st.none(), st.floats(-10, 86_400)),
    st.lists(st.floats(0, 10), min_size=5, max_size=5),
)
def test_timeouts_in_any_order_give_the_least_of_them(timeouts, left, passing):
    clock = ManualClock(monotonic=START)
    given_deadline = None if left is None else START + left
    ends = [] if left is None else [given_deadline]

    def passes(seconds, timeout_s):
        # Time passes before each of them, as in a chain of layers that wait.
        def wrap(next):
            def call(ctx, request):
                clock.advance(seconds)
                ends.append(clock.monotonic() + timeout_s)
                return next(ctx, request)

            return call

        return chain(wrap, timeout(timeout_s, clock=clock))

    inner = Script(1)
    stack = chain(*(passes(*each) for each in zip(passing, timeouts, strict=False)))(inner)
    try:
        stack(Context(deadline=given_deadline), 7)
    except DeadlineExceeded:
        assert inner.calls == []
        assert min(ends) <= clock.monotonic()
    else:
        assert inner.contexts[0].deadline == min(ends)
        assert clock.monotonic() < min(ends)


def test_a_call_that_ends_late_returns_what_it_returns():
    clock = ManualClock()

    def slow(ctx, request):
        clock.advance(100)
        return "late"

    assert timeout(1, clock=clock)(slow)(Context(), 7) == "late"


def test_without_a_deadline_every_call_goes_on():
    assert deadline(clock=ManualClock())(Script(1))(Context(), 7) == 1


def test_how_much_is_left():
    clock = ManualClock(monotonic=START)
    assert seconds_left(Context(), clock=clock) is None
    assert seconds_left(Context(deadline=START + 1.5), clock=clock) == 1.5
    assert seconds_left(Context(deadline=START - 1.5), clock=clock) == 0.0


def test_a_loop_that_checks_stops():
    clock = ManualClock(monotonic=START)
    ctx = Context(deadline=START + 1.0)
    for _ in range(4):
        check(ctx, clock=clock)
        clock.advance(0.25)
    with pytest.raises(DeadlineExceeded):
        check(ctx, clock=clock)
    check(Context(), clock=clock)


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf"), 86_401])
def test_seconds_that_cannot_be_are_said_at_once(bad):
    with pytest.raises(ConfigurationError, match="give seconds, over 0, up to 86400"):
        timeout(bad)


def test_they_show_themselves():
    found = layers(chain(deadline(), timeout(2.0))(Script(1)))
    assert [(each.name, each.config) for each in found] == [
        ("deadline", {}),
        ("timeout", {"seconds": 2.0}),
    ]
