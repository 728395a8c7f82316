"""What is raised after the last try: its error, and all the others."""

import pickle

import falcon
import pytest

from falconkit import errors
from falconkit.errors import RetriesExhausted, UpstreamFailed, UpstreamTimeout, UpstreamUnavailable
from falconkit.log.outcome import level_of
from falconkit.metrics.middleware import kind_of
from falconkit.transport.http.status import code_of, headers_of, message_of, status_of

FIRST = UpstreamUnavailable("away", upstream="users")


class Slotted(Exception):
    __slots__ = ("place",)

    def __init__(self, place):
        super().__init__("slotted")
        self.place = place


class CannotBeMade(Exception):
    def __new__(cls, *, needed):
        return super().__new__(cls)

    def __init__(self, *, needed):
        super().__init__("odd")


def not_final(error):
    error.final = False
    return error


LASTS = [
    UpstreamTimeout("late", upstream="users", status=504, retry_after=2.0),
    not_final(UpstreamFailed("lost", upstream="users")),
    errors.RateLimited(retry_after=1.0, limit=3),
    errors.DecodeError("no", where="$.v"),
    errors.BodyTooLarge(5),
    errors.Failed("taken"),
    OSError(2, "no such file"),
    KeyError("v"),
    UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
    falcon.HTTPServiceUnavailable(title="away", retry_after=7),
    ExceptionGroup("several", [ValueError("one")]),
    StopIteration(3),
    Slotted("here"),
]


@pytest.mark.parametrize("last", LASTS, ids=lambda last: type(last).__name__)
def test_it_is_of_both_classes_and_has_what_the_last_one_has(last):
    error = RetriesExhausted.of([FIRST, last], "stopped")
    assert isinstance(error, RetriesExhausted)
    assert isinstance(error, type(last))
    assert error.causes == (FIRST, last)
    assert (error.why, error.final) == ("stopped", True)
    assert error.__cause__ is last
    assert error.args == last.args
    assert str(error) == f"{last} (2 tries, stopped)"
    for name in ("retry_after", "upstream", "limit", "where", "errno", "place"):
        assert getattr(error, name, None) == getattr(last, name, None)


@pytest.mark.parametrize("last", LASTS, ids=lambda last: type(last).__name__)
def test_logs_metrics_and_statuses_go_on_under_the_last_ones_name(last):
    error = RetriesExhausted.of([FIRST, last], "budget")
    assert kind_of(error) == kind_of(last)
    assert level_of(error) == level_of(last)
    assert status_of(error) == status_of(last)
    assert code_of(error) == code_of(last)
    assert headers_of(error) == [*headers_of(last), ("X-Should-Retry", "false")]


def test_the_row_is_the_last_ones():
    there = RetriesExhausted.of([FIRST, LASTS[0]], "stopped")
    assert (status_of(there), code_of(there)) == (504, "upstream_timeout")
    assert message_of(there) == "a service behind this one did not answer in time"
    unknown = RetriesExhausted.of([FIRST, KeyError("hunter2")], "stopped")
    assert (status_of(unknown), message_of(unknown)) == (500, "internal server error")


@pytest.mark.parametrize("last", LASTS[:3], ids=lambda last: type(last).__name__)
def test_it_survives_a_way_between_processes(last):
    error = RetriesExhausted.of([FIRST, last], "deadline")
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert [str(each) for each in back.causes] == [str(each) for each in error.causes]
    assert vars(back).keys() == vars(error).keys()


def test_one_that_cannot_be_made_again_is_itself_with_a_note():
    last = CannotBeMade(needed=1)
    error = RetriesExhausted.of([FIRST, last], "not_retryable")
    assert error is last
    assert error.__notes__ == ["2 tries, not retryable"]


def test_of_one_that_is_one_already():
    inner = RetriesExhausted.of([FIRST, UpstreamFailed("lost")], "stopped")
    outer = RetriesExhausted.of([FIRST, inner], "stopped")
    assert type(outer) is type(inner)
    assert outer.causes == (FIRST, inner)


def test_a_class_is_made_once_for_each_kind():
    one, two = (RetriesExhausted.of([UpstreamFailed("x")], "budget") for _ in range(2))
    assert type(one) is type(two)
    assert type(one).__name__ == "UpstreamFailed"
    assert str(one) == "x (1 try, budget)"


def test_what_it_has_not_it_has_not():
    error = RetriesExhausted.of([FIRST], "budget")
    with pytest.raises(AttributeError, match="nothing"):
        error.nothing  # noqa: B018
    with pytest.raises(AttributeError, match="nothing"):
        RetriesExhausted("bare").nothing  # noqa: B018
