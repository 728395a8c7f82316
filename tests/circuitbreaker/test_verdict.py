"""What counts as a failure, for every error of the tree and every answer of the table."""

from __future__ import annotations

from typing import Any

import pytest

from falconkit import errors
from falconkit.circuitbreaker import is_failure
from falconkit.errors import UpstreamFailed, UpstreamTimeout, UpstreamUnavailable
from falconkit.transport.http.status import error_of


def answered(error: errors.FalconkitError) -> errors.FalconkitError:
    error.upstream = "billing"
    return error


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [
        (UpstreamUnavailable("cannot be reached", upstream="billing"), True),
        (UpstreamTimeout("no answer in 1 s", upstream="billing"), True),
        (UpstreamFailed("the answer was lost", upstream="billing"), True),
        (UpstreamFailed("answered 200 and rubbish", upstream="billing", status=200), True),
        (errors.OutcomeUnknown(), True),
        (OSError("reset"), True),
        (TimeoutError(), True),
        (KeyError("a bug"), True),
        (errors.Failed("no such account"), False),
        (errors.DecodeError("expected int"), False),
        (errors.Unauthenticated(), False),
        (errors.Forbidden(), False),
        (answered(errors.RateLimited(retry_after=1.0)), False),
        (answered(errors.Overloaded()), True),
        (answered(errors.CircuitOpen()), True),
        (answered(errors.DeadlineExceeded()), True),
        (errors.RateLimited(), None),
        (errors.Overloaded(), None),
        (errors.CircuitOpen(), None),
        (errors.NoInstance(), None),
        (errors.DeadlineExceeded(), None),
        (KeyboardInterrupt(), None),
        (SystemExit(1), None),
        (GeneratorExit(), None),
        (None, False),
        ({"balance": 0}, False),
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_verdict(outcome: object, verdict: bool | None) -> None:
    assert is_failure(outcome) is verdict


@pytest.mark.parametrize("status", range(400, 600))
def test_an_answer_of_500_and_above_is_a_failure(status: int) -> None:
    assert is_failure(error_of(status, {}, b"", "billing")) is (status >= 500)


def test_a_failer_is_no_failure() -> None:
    class Overdrawn:
        def failed(self) -> Exception | None:
            return errors.Failed("overdrawn")

    answer: Any = Overdrawn()
    assert is_failure(answer) is False
