import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconkit.errors import (
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    DecodeError,
    Failed,
    Forbidden,
    NoInstance,
    OutcomeUnknown,
    Overloaded,
    RateLimited,
    Refused,
    Unauthenticated,
    UpstreamFailed,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from falconkit.retry import (
    Stop,
    Wait,
    When,
    equal_jitter,
    exponential,
    fixed,
    full_jitter,
    on,
    repeatable,
    seconds,
    transient,
    tries,
)
from falconkit.retry.when import as_when


def fussy(error):
    return "again" in str(error)


def above(error, upstream="billing"):
    error.upstream = upstream
    return error


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (tries(3), "tries(3)"),
        (tries(3) | seconds(2), "tries(3) | seconds(2)"),
        (tries(3) | seconds(2) & tries(9), "tries(3) | seconds(2) & tries(9)"),
        ((tries(3) | seconds(2.5)) & tries(9), "(tries(3) | seconds(2.5)) & tries(9)"),
        (full_jitter(), "full_jitter(base=0.025, cap=0.25)"),
        (fixed(0.5) + equal_jitter(1, 2), "fixed(0.5) + equal_jitter(base=1, cap=2)"),
        (exponential(0.1, 1.0), "exponential(base=0.1, cap=1.0)"),
        (transient, "transient"),
        (transient | on(OSError) & repeatable, "transient | on(OSError) & repeatable"),
        (
            (transient | on(OSError, KeyError)) & fussy,
            "(transient | on(OSError, KeyError)) & fussy",
        ),
        (fussy | transient, "fussy | transient"),
        (fussy & ~transient, "fussy & ~transient"),
        (~(transient | on(OSError)), "~(transient | on(OSError))"),
    ],
)
def test_a_value_reads_as_it_is_written(value, shown):
    assert repr(value) == shown


def test_values_are_equal_by_what_they_say_and_cannot_be_changed():
    pairs = [
        (tries(3) | seconds(2), tries(3) | seconds(2), tries(3) | seconds(3)),
        (fixed(1) + full_jitter(), fixed(1) + full_jitter(), fixed(1) + equal_jitter()),
        (transient | on(OSError), transient | on(OSError), transient | on(KeyError)),
    ]
    for one, same, other in pairs:
        assert one == same
        assert hash(one) == hash(same)
        assert one != other
        with pytest.raises(dataclasses.FrozenInstanceError):
            one.one = other


@settings(deadline=None)
@given(st.integers(1, 100), st.integers(1, 200))
def test_tries_counts_the_first(most, made):
    assert tries(most).reached(made, 0.0) == (made >= most)


@settings(deadline=None)
@given(st.booleans(), st.booleans(), st.booleans())
def test_stops_combine_as_their_signs_say(a, b, c):
    one, two, three = (tries(1) if each else tries(2) for each in (a, b, c))
    assert (one | two & three).reached(1, 0.0) == (a or (b and c))
    assert ((one | two) & three).reached(1, 0.0) == ((a or b) and c)


@settings(deadline=None)
@given(st.integers(1, 5000), st.floats(0.001, 10), st.floats(1, 100), st.floats(0, 1))
def test_jitter_stays_within_its_bounds_however_often(retry, base, times, chance):
    cap = base * times
    most = exponential(base, cap).before(retry, min)
    assert most == min(cap, base * 2 ** min(retry - 1, 60))

    def uniform(low, high):
        return low + (high - low) * chance

    assert 0 <= full_jitter(base, cap).before(retry, uniform) <= most
    assert most / 2 <= equal_jitter(base, cap).before(retry, uniform) <= most
    both = fixed(0.5) + full_jitter(base, cap)
    assert 0.5 <= both.before(retry, uniform) <= 0.5 + most


def test_at_the_cap_callers_are_still_spread():
    drawn = []
    full_jitter(0.025, 0.25).before(50, lambda low, high: drawn.append((low, high)) or 0.0)
    assert drawn == [(0.0, 0.25)]


ALWAYS = [
    UpstreamUnavailable("x"),
    above(RateLimited(retry_after=1.0)),
    above(CircuitOpen(retry_after=1.0)),
    above(Overloaded(retry_after=0.0)),
]


def in_part(error):
    error.perhaps_run = True
    return error


IF_REPEATABLE = [
    in_part(UpstreamUnavailable("x", status=503)),
    in_part(above(CircuitOpen(retry_after=1.0))),
    UpstreamFailed("x", status=500),
    UpstreamFailed("x"),
    UpstreamTimeout("x"),
]
NEVER = [
    RateLimited(retry_after=1.0),
    CircuitOpen(retry_after=1.0),
    Overloaded(retry_after=1.0),
    NoInstance(),
    Refused(retry_after=1.0),
    above(RateLimited()),
    DeadlineExceeded(),
    above(DeadlineExceeded()),
    OutcomeUnknown(),
    Failed("x"),
    DecodeError("x"),
    Unauthenticated(),
    Forbidden(),
    ValueError("x"),
    TimeoutError(),
    ConnectionError(),
]


@pytest.mark.parametrize("error", ALWAYS + IF_REPEATABLE + NEVER, ids=repr)
def test_what_is_transient(error):
    assert transient.holds(error, True) == (error not in NEVER)
    assert transient.holds(error, False) == (error in ALWAYS)


def test_on_is_the_users_word_unless_he_asks_for_repeatable():
    assert on(OSError).holds(ConnectionError(), False)
    assert not on(OSError).holds(KeyError(), True)
    assert not (on(OSError) & repeatable).holds(ConnectionError(), False)
    assert (on(OSError) & repeatable).holds(ConnectionError(), True)


def test_plain_functions_combine_with_values():
    again = transient | fussy
    assert again.holds(ValueError("again"), False)
    assert not again.holds(ValueError("no"), False)
    assert (~as_when(fussy)).holds(ValueError("no"), False)


def test_a_value_of_ones_own():
    class Once(Stop):
        def reached(self, tries, elapsed, /):
            return True

    class Long(Wait):
        def before(self, retry, uniform, /):
            return 9.0

    class Never(When):
        def holds(self, error, repeatable, /):
            return False

    assert (Once() | tries(3)).reached(1, 0.0)
    assert (Long() + fixed(1)).before(1, min) == 10.0
    assert not (Never() & transient).holds(UpstreamUnavailable("x"), True)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda: tries(0), "tries(0): give a whole number from 1 to 100, the first try counted"),
        (lambda: tries(101), "tries(101)"),
        (lambda: tries(True), "tries(True)"),
        (lambda: tries(2.0), "tries(2.0)"),
        (lambda: seconds(0), "seconds(0): give seconds, over 0"),
        (lambda: seconds(float("nan")), "seconds(nan)"),
        (lambda: seconds(float("inf")), "seconds(inf)"),
        (lambda: fixed(-1), "fixed(-1): give seconds from 0 to 3600"),
        (lambda: fixed(float("nan")), "fixed(nan)"),
        (lambda: full_jitter(0), "full_jitter(base=0, cap=0.25): give seconds, 0 < base <= cap"),
        (lambda: equal_jitter(2, 1), "equal_jitter(base=2, cap=1)"),
        (lambda: exponential(1, float("inf")), "exponential(base=1, cap=inf)"),
        (lambda: on(), "on(): give classes of exceptions"),
        (lambda: on(KeyboardInterrupt), "on(<class 'KeyboardInterrupt'>,)"),
        (lambda: on("OSError"), "on('OSError',)"),
        (lambda: transient | OSError, "when=<class 'OSError'>: give transient, on(SomeError)"),
        (lambda: as_when(3), "when=3"),
    ],
)
def test_what_cannot_be_is_said_at_once(make, why):
    with pytest.raises(ConfigurationError) as raised:
        make()
    assert why in str(raised.value)


@pytest.mark.parametrize("add", [lambda: tries(3) | 3, lambda: tries(3) & 3, lambda: fixed(1) + 1])
def test_only_values_of_a_kind_combine(add):
    with pytest.raises(TypeError):
        add()
