"""Retries, deadlines, breakers, limits in every order: what each promises, they keep together."""

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconkit import Context, chain
from falconkit.bulkhead import bulkhead
from falconkit.circuitbreaker import CircuitBreaker, guard
from falconkit.context import ATTEMPT
from falconkit.deadline import deadline, timeout
from falconkit.errors import (
    DeadlineExceeded,
    Forbidden,
    RateLimited,
    Refused,
    RetriesExhausted,
    UpstreamFailed,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from falconkit.ratelimit import TokenBucket, limit
from falconkit.retry import Budget, fixed, full_jitter, on, retry, seconds, transient, tries
from falconkit.shedding import AdaptiveLimit, shed
from falconkit.testing import ManualClock

MOST_TRIES = 3
MOST_RETRY_AFTER = 1.0
BURST, PER_SECOND = 4, 2
RATIO, FLOOR = 0.5, 0.2


class Bench:
    """What the layers of one stack share."""

    def __init__(self):
        self.clock = ManualClock()
        self.budget = Budget(RATIO, floor=FLOOR, clock=self.clock)
        self.breaker = CircuitBreaker(
            "users", minimum_calls=4, wait=1.0, shared=False, clock=self.clock
        )
        self.bucket = TokenBucket(
            f"{PER_SECOND}/second", burst=BURST, storage="memory://", clock=self.clock
        )


LAYERS = {
    "retry": lambda bench: retry(
        wait=full_jitter(0.1, 0.4),
        budget=bench.budget,
        max_retry_after=MOST_RETRY_AFTER,
        clock=bench.clock,
    ),
    "another retry": lambda bench: retry(
        stop=tries(2) | seconds(1.0),
        wait=fixed(0.05),
        when=transient | on(KeyError),
        budget=bench.budget,
        idempotent=True,
        max_retry_after=MOST_RETRY_AFTER,
        clock=bench.clock,
    ),
    "timeout": lambda bench: timeout(1.5, clock=bench.clock),
    "deadline": lambda bench: deadline(clock=bench.clock),
    "limit": lambda bench: limit(bench.bucket),
    "guard": lambda bench: guard(bench.breaker),
}
BOUNDS = {
    "bulkhead": lambda bench: bulkhead(2, clock=bench.clock),
    "shed": lambda bench: shed(AdaptiveLimit(clock=bench.clock)),
}
ALL = LAYERS | BOUNDS

"""Each layer by its name; one more is one line more."""


def refused(seconds):
    error = RateLimited(retry_after=seconds)
    error.upstream = "users"
    return error


OUTCOMES = st.sampled_from(
    [
        lambda: "answer",
        lambda: UpstreamUnavailable("away", upstream="users"),
        lambda: UpstreamTimeout("late", upstream="users"),
        lambda: UpstreamFailed("lost", upstream="users"),
        lambda: refused(0.5),
        lambda: refused(30.0),
        lambda: Forbidden(),
        lambda: KeyError("v"),
    ]
)
TRY = st.tuples(st.sampled_from([0.0, 0.1, 0.7, 3.0]), OUTCOMES)
CALL = st.tuples(
    st.sampled_from([None, 0.0, 0.3, 1.0, 5.0]),  # seconds until its deadline
    st.sampled_from(["GET", "POST"]),
    st.booleans(),  # whether it is itself somebody's further try
)


def refused_by_a_layer(error):
    if isinstance(error, Refused):
        return error.upstream is None
    return isinstance(error, DeadlineExceeded)


@dataclass
class Made:
    """What one call came to at the innermost endpoint."""

    starts: list = field(default_factory=list)
    deadlines: list = field(default_factory=list)
    outcomes: list = field(default_factory=list)


class Inner:
    """The endpoint: takes its time, and then does as the script says, over and over."""

    def __init__(self, clock, script):
        self.clock = clock
        self.script = itertools.cycle(script)
        self.made = Made()

    def __call__(self, ctx, request, /):
        self.made.starts.append(self.clock.monotonic())
        self.made.deadlines.append(ctx.deadline)
        lasts, outcome = next(self.script)
        self.clock.advance(lasts)
        outcome = outcome()
        self.made.outcomes.append(outcome)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def call(stack, inner, bench, about):
    """Make one call and check what holds of each."""
    left, method, retried = about
    clock = bench.clock
    began = clock.monotonic()
    ctx = Context(method=method, deadline=None if left is None else began + left)
    if retried:
        ctx = ctx.having(ATTEMPT, 2)
    inner.made = made = Made()
    slept = len(clock.slept)
    result = error = None
    try:
        result = stack(ctx, 7)
    except Exception as ex:
        error = ex
    waits = clock.slept[slept:]

    assert len(made.starts) <= (1 if retried else MOST_TRIES)
    assert len(waits) <= max(len(made.starts), 1)
    assert all(wait <= MOST_RETRY_AFTER + 0.4 for wait in waits)
    if ctx.deadline is not None:
        # A first try is begun late only where no layer looks; a further one never is.
        assert all(start < ctx.deadline for start in made.starts[1:])
        assert all(each is not None and each <= ctx.deadline for each in made.deadlines)
    for start, end in zip(made.starts[1:], made.deadlines[1:], strict=True):
        assert end is None or start < end, "a further try is never begun late"
    if error is None:
        assert result is made.outcomes[-1]
    elif isinstance(error, RetriesExhausted):
        assert error.causes[-1] is error.__cause__
        assert len(error.causes) >= len(made.outcomes)
        assert set(made.outcomes) <= set(error.causes)
    elif not refused_by_a_layer(error):
        assert error is made.outcomes[-1]
    return made


def check(names, script, calls):
    bench = Bench()
    inner = Inner(bench.clock, script)
    stack = chain(*(ALL[name](bench) for name in names))(inner)
    began = bench.clock.monotonic()
    retries = made_in_all = 0
    for about in calls:
        made = call(stack, inner, bench, about)
        made_in_all += len(made.starts)
        retries += max(0, len(made.starts) - 1)
    lasted = bench.clock.monotonic() - began
    status = bench.budget.status()
    assert status["calls"] <= len(calls), "a call is counted once, however many layers there are"
    if lasted < 9.0:  # all in one window
        assert retries <= max(RATIO * len(calls), FLOOR * 10.0) + 1e-6
    if names[-1] == "limit":
        assert made_in_all <= BURST + PER_SECOND * lasted + 1e-6


@settings(max_examples=12, deadline=None)
@given(script=st.lists(TRY, min_size=1, max_size=6), calls=st.lists(CALL, min_size=1, max_size=8))
def test_in_every_order(script, calls):
    for order in itertools.permutations(LAYERS):
        check(order, script, calls)


@settings(max_examples=500, deadline=None)
@given(
    names=st.lists(st.sampled_from(sorted(ALL)), min_size=1, max_size=8),
    script=st.lists(TRY, min_size=1, max_size=6),
    calls=st.lists(CALL, max_size=12),
)
def test_some_of_them_any_number_of_times(names, script, calls):
    check(names, script, calls)


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
def test_however_deep_an_outage_costs_three_tries(depth):
    bench = Bench()
    inner = Inner(bench.clock, [(0.0, lambda: UpstreamUnavailable("away", upstream="users"))])
    stack = chain(*(retry(clock=bench.clock) for _ in range(depth)))(inner)
    with pytest.raises(RetriesExhausted):
        stack(Context(), 7)
    assert len(inner.made.starts) == 3
