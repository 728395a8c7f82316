import inspect
import pickle
import re

import pytest

from falconkit import errors
from falconkit.errors import (
    BodyTooLarge,
    CircuitOpen,
    ConfigurationError,
    DeadlineExceeded,
    DecodeError,
    FalconkitError,
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

CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and issubclass(kind, FalconkitError)
}


def drawn():
    """Read the tree of the module's docstring: {class: its parent}."""
    parents, path = {}, []
    for line in errors.__doc__.splitlines():
        found = re.match(r"    ((?:│   )*)(?:[├└]── )?(\w+)", line)
        if not found:
            continue
        depth = 0 if not re.search("[├└]", line) else len(found[1]) // 4 + 1
        del path[depth:]
        parents[found[2]] = path[-1] if path else None
        path.append(found[2])
    return parents


def test_the_tree_that_is_drawn_is_the_tree_there_is():
    there_is = {
        name: None if kind is FalconkitError else kind.__bases__[0].__name__
        for name, kind in CLASSES.items()
    }
    assert drawn() == there_is


def test_the_root_is_an_ordinary_exception():
    assert FalconkitError.__bases__ == (Exception,)
    assert FalconkitError("x").upstream is None


def test_bad_configuration_is_a_value_error_too():
    with pytest.raises(ValueError, match="rate"):
        raise ConfigurationError("bad rate")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Refused, "refused"),
        (RateLimited, "rate limit exceeded"),
        (CircuitOpen, "circuit breaker is open"),
        (Overloaded, "overloaded"),
        (NoInstance, "no instance available"),
        (DeadlineExceeded, "deadline exceeded"),
        (Unauthenticated, "unauthenticated"),
        (Forbidden, "forbidden"),
        (OutcomeUnknown, "the outcome is not known"),
    ],
)
def test_each_has_words_of_its_own_and_takes_others(kind, message):
    assert str(kind()) == message
    assert str(kind("other")) == "other"


@pytest.mark.parametrize("kind", [Refused, RateLimited, CircuitOpen, Overloaded, NoInstance])
def test_a_refusal_says_when_to_come_again(kind):
    assert kind().retry_after is None
    assert kind(retry_after=1.5).retry_after == 1.5
    assert str(kind("", retry_after=1.5)) == ""


def test_a_rate_refusal_carries_its_numbers():
    error = RateLimited(retry_after=2.0, limit=10, remaining=3)
    assert (error.retry_after, error.limit, error.remaining) == (2.0, 10, 3)
    assert (RateLimited().limit, RateLimited().remaining) == (0, 0)


def test_a_decode_error_says_where():
    assert str(DecodeError("expected int, got str", where="$.v")) == "$.v: expected int, got str"
    assert DecodeError("x", where="$.v").where == "$.v"
    assert str(DecodeError("no body")) == "no body"
    assert DecodeError("no body").where == ""


def test_a_body_too_large_says_how_much_is_taken():
    assert str(BodyTooLarge(1024)) == "the body is larger than 1024 bytes"
    assert BodyTooLarge(1024).limit == 1024
    assert BodyTooLarge(1024).where == ""


def test_who_is_not_known_is_challenged():
    assert Unauthenticated().challenge == "Bearer"
    assert Unauthenticated(challenge='Basic realm="x"').challenge == 'Basic realm="x"'


@pytest.mark.parametrize("kind", [UpstreamFailed, UpstreamUnavailable, UpstreamTimeout])
def test_an_upstreams_failure_says_whose(kind):
    error = kind("no", upstream="billing", status=503, retry_after=2.0)
    assert (str(error), error.upstream, error.status, error.retry_after) == (
        "no",
        "billing",
        503,
        2.0,
    )
    bare = kind("no")
    assert (bare.upstream, bare.status, bare.retry_after) == (None, None, None)


def test_a_name_given_to_one_error_stays_with_it():
    error = RateLimited()
    error.upstream = "billing"
    assert RateLimited().upstream is None
    assert FalconkitError.upstream is None


@pytest.mark.parametrize(
    "error",
    [
        RateLimited(retry_after=1.5, limit=3, remaining=1),
        DecodeError("expected int", where="$.v"),
        Unauthenticated(challenge="Basic"),
        UpstreamTimeout("late", upstream="billing", status=504, retry_after=1.0),
        OutcomeUnknown(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_survive_a_way_between_processes(error):
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert vars(back) == vars(error)


def test_no_error_knows_http():
    source = inspect.getsource(errors).split('"""', 2)[2]
    assert not re.search(r"\b[45]\d\d\b", source)
