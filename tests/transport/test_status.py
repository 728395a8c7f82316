import falcon
import pytest

from falconkit import errors
from falconkit.transport.http.status import (
    MethodNotAllowed,
    NoSuchPath,
    code_of,
    error_of,
    headers_of,
    message_of,
    status_of,
    status_of_failure,
)

OUR_OWN = [
    (errors.RateLimited(), 429, "rate_limited"),
    (errors.CircuitOpen(), 503, "circuit_open"),
    (errors.Overloaded(), 503, "overloaded"),
    (errors.NoInstance(), 503, "no_instance"),
    (errors.Refused(), 503, "refused"),
    (errors.DeadlineExceeded(), 504, "deadline_exceeded"),
    (errors.DecodeError("bad"), 400, "decode_error"),
    (errors.BodyTooLarge(5), 413, "body_too_large"),
    (errors.BodyTimeout("late"), 408, "body_timeout"),
    (errors.UnsupportedMediaType("xml"), 415, "unsupported_media_type"),
    (NoSuchPath(), 404, "no_such_path"),
    (MethodNotAllowed(("GET",)), 405, "method_not_allowed"),
    (errors.Unauthenticated(), 401, "unauthenticated"),
    (errors.Forbidden(), 403, "forbidden"),
    (errors.Failed("full"), 409, "failed"),
    (errors.OutcomeUnknown(), 503, "outcome_unknown"),
]


def from_behind(error):
    error.upstream = "billing"
    return error


@pytest.mark.parametrize(("error", "status", "code"), OUR_OWN)
def test_each_of_our_own_errors_has_its_row(error, status, code):
    assert (status_of(error), code_of(error)) == (status, code)
    assert message_of(error) == str(error)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (errors.UpstreamFailed("x", status=500), 502, "upstream_failed"),
        (errors.UpstreamUnavailable("x"), 503, "upstream_unavailable"),
        (errors.UpstreamTimeout("x"), 504, "upstream_timeout"),
        (from_behind(errors.RateLimited(retry_after=2.1)), 503, "upstream_unavailable"),
        (from_behind(errors.CircuitOpen()), 503, "upstream_unavailable"),
        (from_behind(errors.DeadlineExceeded()), 504, "upstream_timeout"),
        (from_behind(errors.DecodeError("x")), 502, "upstream_failed"),
        (from_behind(errors.Unauthenticated()), 502, "upstream_failed"),
        (from_behind(errors.Forbidden()), 502, "upstream_failed"),
        (from_behind(errors.Failed("x")), 502, "upstream_failed"),
        (from_behind(errors.OutcomeUnknown()), 503, "outcome_unknown"),
        (from_behind(NoSuchPath()), 502, "upstream_failed"),
    ],
)
def test_what_a_service_behind_us_answered_is_not_our_callers_fault(error, status, code):
    assert (status_of(error), code_of(error)) == (status, code)
    assert "x" not in message_of(error).split()


def test_a_refusal_from_behind_keeps_its_retry_after():
    assert headers_of(from_behind(errors.RateLimited(retry_after=2.1))) == [("Retry-After", "3")]


def test_what_nobody_foresaw_is_a_500_that_tells_nothing():
    error = KeyError("the password is hunter2")
    assert (status_of(error), code_of(error)) == (500, "internal_error")
    assert message_of(error) == "internal server error"
    assert headers_of(error) == []


def test_a_configuration_error_at_request_time_is_a_500():
    assert status_of(errors.ConfigurationError("x")) == 500
    assert message_of(errors.ConfigurationError("secret")) == "internal server error"


def test_a_falcon_error_keeps_its_status():
    assert status_of(falcon.HTTPGone()) == 410


@pytest.mark.parametrize(
    ("seconds", "header"),
    [(0.0, "0"), (0.2, "1"), (1.0, "1"), (1.0001, "2"), (1e300, "1000000000")],
)
def test_retry_after_is_whole_seconds_rounded_up(seconds, header):
    assert headers_of(errors.RateLimited(retry_after=seconds)) == [("Retry-After", header)]


@pytest.mark.parametrize("seconds", [None, float("inf"), float("nan")])
def test_what_is_never_worth_a_new_try_has_no_retry_after(seconds):
    assert headers_of(errors.RateLimited(retry_after=seconds)) == []


def test_a_challenge_is_sent_and_cannot_forge_a_header():
    error = errors.Unauthenticated(challenge='Basic realm="x"\r\nSet-Cookie: a=b')
    assert headers_of(error) == [("WWW-Authenticate", 'Basic realm="x"Set-Cookie: a=b')]


def test_another_services_challenge_is_not_passed_on():
    assert "WWW-Authenticate" not in dict(headers_of(from_behind(errors.Unauthenticated())))


def test_the_allowed_methods_are_told():
    assert headers_of(MethodNotAllowed(("GET", "POST"))) == [("Allow", "GET, POST")]


class Gone(errors.Failed):
    status = 410


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (Gone("sold"), 410),
        (errors.Failed("full"), 409),
        (ValueError("full"), 409),
        (errors.Forbidden(), 403),
    ],
)
def test_a_failure_has_its_own_status_or_409(failure, status):
    assert status_of_failure(failure) == status


@pytest.mark.parametrize("odd", [200, 399, 600, "410", None])
def test_a_failures_odd_status_is_not_used(odd):
    failure = errors.Failed("full")
    failure.status = odd
    assert status_of(failure) == 409


@pytest.mark.parametrize(("error", "status", "code"), OUR_OWN)
def test_an_answer_with_a_code_is_read_back_as_the_same_error(error, status, code):
    body = b'{"code": "%s", "detail": "the words"}' % code.encode()
    headers = {"Content-Type": "application/problem+json", "Retry-After": "7"}
    read = error_of(status, headers, body, "counter")
    assert type(read) is type(error)
    assert (str(read), read.upstream) == ("the words", "counter")
    if isinstance(read, errors.Refused):
        assert read.retry_after == 7.0


PLAIN = [
    (429, errors.RateLimited),
    (400, errors.DecodeError),
    (401, errors.Unauthenticated),
    (403, errors.Forbidden),
    (408, errors.BodyTimeout),
    (409, errors.Failed),
    (413, errors.BodyTooLarge),
    (415, errors.UnsupportedMediaType),
    (503, errors.UpstreamUnavailable),
    (504, errors.UpstreamTimeout),
    (404, errors.UpstreamFailed),
    (418, errors.UpstreamFailed),
    (500, errors.UpstreamFailed),
    (502, errors.UpstreamFailed),
]


@pytest.mark.parametrize(("status", "kind"), PLAIN)
def test_a_plain_answer_is_read_by_its_status(status, kind):
    read = error_of(status, {"content-type": "text/plain"}, b"the words", "counter")
    assert type(read) is kind
    assert (str(read), read.upstream) == ("the words", "counter")
    if isinstance(read, errors.UpstreamFailed):
        assert read.status == status


def test_a_refusal_is_read_with_its_numbers():
    headers = {
        "RETRY-AFTER": "2",
        "RateLimit-Policy": '"add";q=10;w=20',
        "RateLimit": '"add";r=3;t=4',
    }
    read = error_of(429, headers, b"rate limit exceeded", "counter")
    assert (read.retry_after, read.limit, read.remaining) == (2.0, 10, 3)


def test_a_code_that_does_not_go_with_the_status_is_not_believed():
    body = b'{"code": "rate_limited", "detail": "d"}'
    read = error_of(500, {"Content-Type": "application/json"}, body, "counter")
    assert type(read) is errors.UpstreamFailed


def test_a_failure_keeps_its_own_status_on_the_way():
    body = b'{"code": "failed", "detail": "sold"}'
    read = error_of(410, {"Content-Type": "application/problem+json"}, body, "counter")
    assert (type(read), read.status, str(read)) == (errors.Failed, 410, "sold")


def test_the_place_is_read_back():
    body = b'{"code": "decode_error", "detail": "$.v: bad", "where": "$.v"}'
    read = error_of(400, {"Content-Type": "application/problem+json"}, body, "counter")
    assert (read.where, str(read)) == ("$.v", "$.v: bad")


def test_the_challenge_and_the_methods_are_read_back():
    assert error_of(401, {"WWW-Authenticate": "Basic"}, b"", "x").challenge == "Basic"
    body = b'{"code": "method_not_allowed"}'
    read = error_of(405, {"Content-Type": "application/json", "Allow": "GET, PUT"}, body, "x")
    assert read.allowed == ("GET", "PUT")


@pytest.mark.parametrize("body", [b"", b"<html><h1>x</h1>", b"two\nlines", b"{}", b"[1]", b"\xff"])
@pytest.mark.parametrize("kind", ["application/json", "text/html", ""])
def test_any_body_is_read(body, kind):
    read = error_of(500, {"Content-Type": kind}, body, "x")
    assert type(read) is errors.UpstreamFailed
    assert "\n" not in str(read)
    assert "<" not in str(read)
