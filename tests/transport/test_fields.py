import pytest

from falconkit.ratelimit.decision import Decision
from falconkit.transport.http import fields


def decision(**changes):
    of = {
        "allowed": True,
        "limit": 10,
        "remaining": 3,
        "retry_after": 0.0,
        "reset_after": 4.2,
        "policy": "10 per 20 second",
        "window": 20.0,
    }
    return Decision(**(of | changes))


def test_one_decision_is_two_lists_of_one():
    assert fields.rate_limit_fields((decision(),)) == (
        ("RateLimit-Policy", '"10 per 20 second";q=10;w=20'),
        ("RateLimit", '"10 per 20 second";r=3;t=5'),
    )


def test_several_decisions_are_lists_in_order():
    given = (decision(policy="a"), decision(policy="b", remaining=0, reset_after=7.0, window=0.5))
    assert fields.rate_limit_fields(given) == (
        ("RateLimit-Policy", '"a";q=10;w=20, "b";q=10;w=1'),
        ("RateLimit", '"a";r=3;t=5, "b";r=0;t=7'),
    )


def test_a_name_is_quoted_and_kept_to_ascii():
    ((_, policy), _) = fields.rate_limit_fields((decision(policy='a"\\\r\n\u00e9'),))
    assert policy == '"a\\"\\\\???";q=10;w=20'


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 7 ", 7.0),
        ("9" * 30, 10.0**9),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("\u0663", None),
        ("Tue, 24 Nov 2026 04:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 03:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_read(value, seconds):
    headers = {"retry-after": value, "date": "Tue, 24 Nov 2026 04:00:00 GMT"}
    assert fields.retry_after(headers) == seconds


def test_a_date_without_a_date_to_compare_says_nothing():
    assert fields.retry_after({"retry-after": "Tue, 24 Nov 2026 04:00:30 GMT"}) is None
    assert fields.retry_after({}) is None


@pytest.mark.parametrize(
    ("accept", "json"),
    [
        (None, False),
        ("*/*", False),
        ("text/html,application/xhtml+xml,*/*;q=0.8", False),
        ("application/json", True),
        ("application/problem+json", True),
        ("APPLICATION/JSON".lower(), True),
        ("application/json, text/plain, */*", True),
        ("text/plain, application/json;q=0.9", False),
        ("text/plain;q=0.5, application/json;q=0.9", True),
        ("application/json;q=0", False),
        ("application/json;q=x", False),
        ("application/json; charset=utf-8", True),
        ("application/vnd.json-ish", False),
        ("," * 5000 + "json", False),
    ],
)
def test_accept_prefers_json_when_it_names_it(accept, json):
    assert fields.prefers_json(accept) is json
