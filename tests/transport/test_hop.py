"""What services tell each other of a call: time left, the try's number, whether to try again."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconkit import Context
from falconkit.context import ATTEMPT, QUEUE_TIME, Key
from falconkit.deadline import deadline
from falconkit.errors import OutcomeUnknown, RetriesExhausted, UpstreamFailed, UpstreamUnavailable
from falconkit.events import Events
from falconkit.testing import ManualClock
from falconkit.testing.peer import Peer, answer
from falconkit.transport.http import Request, extractors
from falconkit.transport.http.client import Client
from falconkit.transport.http.status import error_of, headers_of
from tests.transport.serving import client, environ, make

NOW = 1_000.0


@pytest.fixture
def clock():
    return ManualClock(monotonic=NOW)


def started(clock, hops=0, **headers):
    headers = {name: value for name, value in headers.items() if value is not None}
    return extractors.start(hops, clock=clock)(Request(environ(**headers)), Events())


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("1", 0.001),
        ("1500", 1.5),
        ("007", 0.007),
        ("86400000", 86_400.0),
        ("86400001", 86_400.0),
        ("9" * 18, 86_400.0),
        ("9" * 19, None),
        ("9" * 100_000, None),
        ("0", None),
        ("000", None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1.5", None),
        ("1e3", None),
        ("1_000", None),
        (" 1500", None),
        ("1500,1500", None),
        ("0x10", None),
        ("inf", None),
        ("\u0661\u0662", None),
        ("\u00b2", None),
        ("\x00", None),
        (None, None),
    ],
)
def test_a_callers_timeout_is_believed_within_bounds_and_else_not_there(told, seconds, clock):
    wanted = None if seconds is None else NOW + seconds
    assert started(clock, HTTP_X_REQUEST_TIMEOUT_MS=told).deadline == wanted
    req = Request(environ(**({} if told is None else {"HTTP_X_REQUEST_TIMEOUT_MS": told})))
    assert extractors.deadline(clock=clock)(req, Context()).deadline == wanted


@settings(deadline=None)
@given(st.text(max_size=30))
def test_no_header_breaks_a_request(text):
    clock = ManualClock(monotonic=NOW)
    ctx = started(
        clock,
        1,
        HTTP_X_REQUEST_TIMEOUT_MS=text,
        HTTP_X_REQUEST_ATTEMPT=text,
        HTTP_X_REQUEST_START=text,
    )
    assert ctx.deadline is None or NOW - 30 <= ctx.deadline <= NOW + 86_400
    assert ctx.get(ATTEMPT) is None or 2 <= ctx.get(ATTEMPT) <= 99


def ago(clock, seconds):
    return str(int((clock.time() - seconds) * 1000))


@pytest.mark.parametrize(
    ("hops", "queued", "timeout", "left"),
    [
        (1, 0, None, 30.0),
        (1, 10, None, 20.0),
        (1, 29, None, 1.0),
        (1, 31, None, -1.0),
        (1, 3600, None, -30.0),
        (1, -3600, None, 30.0),
        (1, 10, "5000", 5.0),
        (1, 28, "5000", 2.0),
        (1, 10, "60000", 20.0),
        (1, 10, "rubbish", 20.0),
        (0, 10, None, None),
        (0, 31, "5000", 5.0),
    ],
)
def test_the_sooner_of_the_callers_and_the_routers_time(hops, queued, timeout, left, clock):
    headers = {"HTTP_X_REQUEST_START": ago(clock, queued), "HTTP_X_REQUEST_TIMEOUT_MS": timeout}
    ctx = started(clock, hops, **headers)
    assert ctx.deadline == (None if left is None else pytest.approx(NOW + left, abs=0.01))
    req = Request(environ(**{name: value for name, value in headers.items() if value}))
    again = extractors.deadline(hops, clock=clock)(req, Context())
    assert again.deadline == ctx.deadline


def test_no_header_makes_a_deadline_later(clock):
    req = Request(environ(HTTP_X_REQUEST_TIMEOUT_MS="5000"))
    ctx = Context(deadline=NOW + 1)
    assert extractors.deadline(clock=clock)(req, ctx) is ctx
    assert extractors.populate(clock=clock)(req, ctx).deadline == NOW + 1
    assert extractors.populate(clock=clock)(req, Context(deadline=NOW + 9)).deadline == NOW + 5


@pytest.mark.parametrize(
    ("told", "attempt"),
    [
        ("2", 2),
        ("3", 3),
        ("99", 99),
        ("100", 99),
        ("9" * 18, 99),
        ("9" * 19, None),
        ("1", None),
        ("0", None),
        ("", None),
        ("-2", None),
        ("2.0", None),
        ("2, 3", None),
        ("\u0662", None),
        (None, None),
    ],
)
def test_the_number_of_the_try(told, attempt, clock):
    assert started(clock, HTTP_X_REQUEST_ATTEMPT=told).get(ATTEMPT) == attempt
    req = Request(environ(**({} if told is None else {"HTTP_X_REQUEST_ATTEMPT": told})))
    assert extractors.attempt()(req, Context()).get(ATTEMPT) == attempt
    assert extractors.populate()(req, Context()).get(ATTEMPT) == attempt


def test_all_at_once_and_nothing_else(clock):
    ctx = started(
        clock,
        1,
        HTTP_X_REQUEST_TIMEOUT_MS="1500",
        HTTP_X_REQUEST_ATTEMPT="2",
        HTTP_X_REQUEST_START=ago(clock, 2),
    )
    assert (ctx.deadline, ctx.get(ATTEMPT)) == (NOW + 1.5, 2)
    assert ctx.get(QUEUE_TIME) == pytest.approx(2.0, abs=0.01)
    assert started(clock).get(Key("attempt")) is None


def test_the_queue_time_is_one_key_in_core_and_transport():
    assert extractors.QUEUE_TIME is QUEUE_TIME


# A server: what it refuses, and what it answers.


def test_a_request_that_nobody_waits_for_is_refused_before_the_endpoint(tmp_path):
    clock = ManualClock()
    app = make(tmp_path, clock=clock, settings={"trusted_hops": 1})
    ran = []

    def add(ctx: Context, v: int) -> int:
        ran.append(ctx.deadline)
        return v

    app.post("/add", add, deadline(clock=clock))
    ask = client(app)
    late = ask.simulate_post("/add", body="1", headers={"X-Request-Start": ago(clock, 31)})
    assert (late.status_code, late.text) == (504, "deadline exceeded: add was not called")
    assert ran == []
    timely = ask.simulate_post("/add", body="1", headers={"X-Request-Start": ago(clock, 10)})
    assert timely.status_code == 200
    assert ran == [pytest.approx(clock.monotonic() + 20, abs=0.01)]


def fails(error):
    def endpoint(ctx: Context, v: int) -> int:
        raise error

    return endpoint


def test_an_answer_says_that_the_call_has_been_tried_again(tmp_path):
    app = make(tmp_path)
    away = UpstreamUnavailable("away", upstream="users", retry_after=2.0)
    app.post("/once", fails(away), name="once")
    app.post("/thrice", fails(RetriesExhausted.of([away] * 3, "stopped")), name="thrice")
    ask = client(app)
    once, thrice = (ask.simulate_post(path, body="1") for path in ("/once", "/thrice"))
    assert once.headers.get("X-Should-Retry") is None
    assert (thrice.status_code, thrice.headers["X-Should-Retry"]) == (503, "false")
    assert thrice.headers["Retry-After"] == once.headers["Retry-After"] == "2"
    assert thrice.text == once.text


# A client: what it sends, and what it reads.


def sent(ctx, *, reply=b"1", **options):
    with Peer(answer(200, reply)) as peer:
        ask = Client("GET", peer.url, clock=ManualClock(monotonic=NOW), **options)
        ask(ctx, None)
        ask.close()
        return peer.requests[0].headers


def test_each_try_sends_what_is_left_and_its_number():
    first = sent(Context(deadline=NOW + 1.5))
    assert first["x-request-timeout-ms"] == "1500"
    assert "x-request-attempt" not in first
    further = sent(Context(deadline=NOW + 0.25).having(ATTEMPT, 2))
    assert further["x-request-timeout-ms"] == "250"
    assert further["x-request-attempt"] == "2"


def test_strangers_are_told_neither():
    headers = sent(Context(deadline=NOW + 1.5).having(ATTEMPT, 2), send_ids=False)
    assert not {"x-request-timeout-ms", "x-request-attempt"} & headers.keys()


@pytest.mark.parametrize(
    ("said", "final"),
    [("false", True), ("False", True), (" false ", True), ("true", False), ("0", False)],
)
def test_an_answer_that_wants_no_further_try_is_final(said, final):
    assert error_of(503, {"X-Should-Retry": said}, b"", "users").final is final


@pytest.mark.parametrize(
    ("status", "lasting"),
    [(500, False), (502, False), (503, False), (504, False), (404, True), (418, True), (501, True)],
)
def test_a_failure_that_would_be_the_same_again_is_lasting(status, lasting):
    assert error_of(status, {}, b"", "users").lasting is lasting


@pytest.mark.parametrize("reply", [answer(200, b"no json"), answer(200, b'"text"'), answer(302)])
def test_an_answer_that_cannot_be_used_is_lasting(reply):
    with Peer(reply) as peer:
        ask = Client("GET", peer.url, returns=int)
        with pytest.raises(UpstreamFailed) as raised:
            ask(Context(), None)
        ask.close()
    assert raised.value.lasting is True


@pytest.mark.parametrize(
    ("status", "code", "again"),
    [
        (400, "decode_error", False),
        (401, "unauthenticated", False),
        (403, "forbidden", False),
        (404, "no_such_path", False),
        (409, "failed", False),
        (418, "?", False),
        (429, "rate_limited", True),
        (500, "internal_error", True),
        (503, "overloaded", True),
        (503, "outcome_unknown", True),
        (504, "deadline_exceeded", True),
    ],
)
def test_our_caller_is_told_what_would_fail_alike_behind_us(status, code, again):
    body = b'{"code": "%s"}' % code.encode()
    error = error_of(status, {"Content-Type": "application/problem+json"}, body, "users")
    assert (("X-Should-Retry", "false") not in headers_of(error)) == again
    error.upstream = None
    if code != "?":
        assert ("X-Should-Retry", "false") not in headers_of(error), "our own errors say it all"


@pytest.mark.parametrize(
    ("status", "code", "headers", "perhaps"),
    [
        (503, "overloaded", {"Retry-After": "1"}, False),
        (429, "rate_limited", {"Retry-After": "1"}, False),
        (503, "refused", {"Retry-After": "1"}, False),
        (503, "circuit_open", {"Retry-After": "1"}, True),
        (503, "no_instance", {"Retry-After": "1"}, True),
        (503, "upstream_unavailable", {"Retry-After": "1"}, True),
        (503, "", {"Retry-After": "1"}, False),
        (503, "", {}, True),
        (503, "overloaded", {}, False),
        (429, "", {}, False),
    ],
)
def test_an_answer_that_does_not_say_that_nothing_was_done(status, code, headers, perhaps):
    body = b'{"code": "%s"}' % code.encode()
    kind = {"Content-Type": "application/problem+json"} if code else {}
    assert error_of(status, kind | headers, body, "users").perhaps_run is perhaps


def test_an_outcome_that_is_unknown_stays_final():
    with Peer(answer(504, b"", {"Content-Length": "0", "X-Should-Retry": "false"})) as peer:
        ask = Client("POST", peer.url)
        with pytest.raises(OutcomeUnknown) as raised:
            ask(Context(), 1)
        ask.close()
    assert raised.value.final is True
