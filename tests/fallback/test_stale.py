from __future__ import annotations

import threading

import msgspec
import pytest
from falcon.testing import TestClient
from hypothesis import given
from hypothesis import strategies as st

from falconkit import Context, chain
from falconkit.arena import Arena
from falconkit.errors import CircuitOpen, ConfigurationError, Failed, UpstreamUnavailable
from falconkit.fallback import LastGood, Stale, fallback, fallback_stale
from falconkit.metrics import Metrics
from falconkit.ratelimit import TokenBucket, limit
from falconkit.settings import Settings
from falconkit.testing import ManualClock, Script
from falconkit.transport import http

AWAY = UpstreamUnavailable("away")


def by_request(ctx, request):
    return request


class Answer:
    def __init__(self, failure=None):
        self.failure = failure

    def failed(self):
        return self.failure


@pytest.fixture
def clock():
    return ManualClock()


def test_the_age_is_left_for_the_caller(clock):
    call = fallback_stale(LastGood(clock=clock), key=by_request)(Script("good", AWAY, AWAY))
    ctx = Context()
    assert call(ctx, 1) == "good"
    assert not ctx.notes
    for age in (2.5, 5.0):
        clock.advance(2.5)
        ctx = Context()
        assert call(ctx, 1) == "good"
        assert ctx.notes.of(Stale) == (Stale(age),)


def test_a_newer_answer_takes_the_older_one_s_place(clock):
    call = fallback_stale(LastGood(clock=clock), key=by_request)(Script("old", "new", AWAY))
    call(Context(), 1)
    clock.advance(1.0)
    call(Context(), 1)
    ctx = Context()
    assert call(ctx, 1) == "new"
    assert ctx.notes.of(Stale) == (Stale(0.0),)


def test_an_answer_that_is_too_old_is_not_given(clock):
    call = fallback_stale(LastGood(max_age=10.0, clock=clock), key=by_request)(
        Script("good", AWAY, AWAY)
    )
    call(Context(), 1)
    clock.advance(10.0)
    assert call(Context(), 1) == "good"
    clock.advance(0.1)
    with pytest.raises(UpstreamUnavailable) as caught:
        call(Context(), 1)
    assert caught.value is AWAY
    assert caught.value.__cause__ is None


def test_questions_are_told_apart():
    call = fallback_stale(key=by_request)(Script("ann's", AWAY))
    call(Context(), "ann")
    with pytest.raises(UpstreamUnavailable):
        call(Context(), "bob")


def test_endpoints_that_share_the_room_do_not_share_answers():
    stale = fallback_stale(LastGood(), key=by_request)
    one, two = stale(Script("one", name="one")), stale(Script(AWAY, name="two"))
    one(Context(), 1)
    with pytest.raises(UpstreamUnavailable):
        two(Context(), 1)


def test_a_business_failure_is_not_kept():
    good, bad = Answer(), Answer(Failed("sold out"))
    call = fallback_stale(key=by_request)(Script(good, bad, AWAY))
    call(Context(), 1)
    assert call(Context(), 1) is bad
    assert call(Context(), 1) is good


def test_a_stream_is_not_kept():
    stream = (chunk for chunk in [b"a", b"b"])
    call = fallback_stale(key=by_request)(Script(stream, AWAY))
    assert list(call(Context(), 1)) == [b"a", b"b"]
    with pytest.raises(UpstreamUnavailable):
        call(Context(), 1)


def test_what_an_answer_of_http_wraps_is_looked_at():
    good = http.Answer(Answer(), headers={"X-From": "here"})
    bad = http.Answer(Answer(Failed("sold out")))
    stream = http.Answer(chunk for chunk in [b"a"])
    call = fallback_stale(key=by_request)(Script(good, bad, stream, AWAY))
    assert [call(Context(), 1) for _ in range(4)] == [good, bad, stream, good]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 8), st.floats(0, 5)), max_size=100))
def test_it_keeps_the_latest_used_within_its_bounds(steps):
    clock = ManualClock()
    last = LastGood(max_keys=3, max_age=6.0, clock=clock)
    known = {}  # key -> made, in the order of use
    for keeps, key, pause in steps:
        clock.advance(pause)
        now = clock.monotonic()
        if keeps:
            last.keep(key, now)
            known.pop(key, None)
            known[key] = now
            while len(known) > 3:
                del known[next(iter(known))]
        elif (made := known.pop(key, None)) is None or now - made > 6.0:
            assert last.find(key) is None
        else:
            known[key] = made
            assert last.find(key) == (made, now - made)
        assert last.status()["keys"] == len(known)


def test_threads_keep_and_find(clock):
    last = LastGood(max_keys=4, clock=clock)
    wrong = []

    def run():
        for at in range(500):
            last.keep(at % 8, at % 8)
            found = last.find(at % 8)
            if found is not None and found[0] != at % 8:
                wrong.append(found)

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert last.status()["keys"] == 4


@pytest.mark.parametrize(
    "bounds", [{"max_keys": 0}, {"max_keys": 1.5}, {"max_age": 0}, {"max_age": float("inf")}]
)
def test_what_cannot_be_used_is_said(bounds):
    with pytest.raises(ConfigurationError):
        LastGood(**bounds)


class Ask(msgspec.Struct):
    pass


def served(tmp_path, *middlewares, script):
    def rates(ctx: Context, request: Ask) -> dict[str, float]:
        return script(ctx, request)

    arena = Arena(tmp_path / "run")
    app = http.app(settings=Settings(), metrics=Metrics(arena=arena), arena=arena)
    app.get("/rates", rates, chain(*middlewares))
    return TestClient(app)


def test_the_caller_is_told_the_age(tmp_path, clock):
    stale = fallback_stale(LastGood(clock=clock), key=lambda ctx, request: "")
    client = served(tmp_path, stale, script=Script({"USD": 1.25}, AWAY))
    fresh = client.simulate_get("/rates")
    assert "Age" not in fresh.headers
    clock.advance(12.7)
    old = client.simulate_get("/rates")
    assert (old.status_code, old.json) == (200, {"USD": 1.25})
    assert old.headers["Age"] == "12"
    assert "RateLimit" not in old.headers


def test_the_caller_is_told_the_age_beside_the_rate(tmp_path, clock):
    stale = fallback_stale(LastGood(clock=clock), key=lambda ctx, request: "")
    bucket = TokenBucket("5/minute", storage="memory://")
    client = served(tmp_path, limit(bucket), stale, script=Script({}, CircuitOpen()))
    client.simulate_get("/rates")
    old = client.simulate_get("/rates")
    assert old.headers["Age"] == "0"
    assert old.headers["RateLimit"].startswith('"5 per 1 minute";r=3;')


def test_a_value_s_answer_has_no_age(tmp_path):
    answer = served(tmp_path, fallback({}), script=Script(AWAY)).simulate_get("/rates")
    assert (answer.status_code, answer.json) == (200, {})
    assert "Age" not in answer.headers
