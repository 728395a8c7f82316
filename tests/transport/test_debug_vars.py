import json

import pytest

from falconkit.debug import Vars
from falconkit.debug.door import from_this_machine
from falconkit.testing import ManualClock
from tests.transport.serving import call, environ, make


def get(app, **more):
    return call(app, environ("GET", "/debug/vars", **more))


def test_the_metrics_and_the_arena_are_shown(tmp_path):
    app = make(tmp_path)
    app.metrics.counter("jobs").add(3)
    status, headers, body = get(app)
    shown = json.loads(body)
    assert (status, headers["content-type"]) == ("200 OK", "application/json; charset=utf-8")
    assert headers["cache-control"] == "no-store"
    assert shown["jobs"] == 3
    assert isinstance(shown["arena"], dict)


@pytest.mark.parametrize(
    ("env", "ours"),
    [
        ({"REMOTE_ADDR": "127.0.0.1"}, True),
        ({"REMOTE_ADDR": "127.9.9.9"}, True),
        ({"REMOTE_ADDR": "::1"}, True),
        ({"REMOTE_ADDR": "::ffff:127.0.0.1"}, False),
        ({"REMOTE_ADDR": "10.0.0.1"}, False),
        ({"REMOTE_ADDR": ""}, False),
        ({"REMOTE_ADDR": "localhost"}, False),
        ({}, False),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, False),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_FORWARDED": "for=127.0.0.1"}, False),
        ({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_REAL_IP": ""}, False),
    ],
)
def test_who_is_on_this_machine(env, ours):
    assert from_this_machine(env) is ours


@pytest.mark.parametrize(
    "more", [{"REMOTE_ADDR": "10.0.0.1"}, {"HTTP_X_FORWARDED_FOR": "127.0.0.1"}]
)
@pytest.mark.parametrize("asked", ["closed", "open", None])
@pytest.mark.parametrize("setting", ["closed", "open"])
def test_strangers_see_them_only_where_they_are_open(tmp_path, more, asked, setting):
    app = make(tmp_path, debug_vars=asked, settings={"debug_vars": setting})
    status, _, body = get(app, **more)
    if (asked or setting) == "open":
        assert status == "200 OK"
    else:
        assert status == "403 Forbidden"
        assert b"DEBUG_VARS=open" in body


def test_the_page_stands_alone():
    import falcon

    app = falcon.App()
    app.add_route("/debug/vars", Vars(lambda: {"a": 1}))
    status, _, body = get(app)
    assert (status, json.loads(body)) == ("200 OK", {"a": 1})


def test_it_tells_nobody_where_the_arena_is(tmp_path):
    app = make(tmp_path)
    app.metrics.counter("jobs").add()
    shown = get(app)[2]
    assert str(tmp_path).encode() not in shown
    assert "private" in json.loads(shown)["arena"]


@pytest.mark.parametrize("hops", [0, 1])
def test_the_time_in_the_router_s_queue_is_counted_where_it_is_trusted(tmp_path, hops):
    clock = ManualClock(time=1_700_000_000.0)
    app = make(tmp_path, clock=clock, settings={"trusted_hops": hops})
    call(app, environ("GET", "/health/live", HTTP_X_REQUEST_START="1699999999750"))
    call(app, environ("GET", "/health/live"))
    shown = json.loads(get(app)[2])
    if hops:
        assert shown["request.queue_seconds"]["count"] == 1
        assert shown["request.queue_seconds"]["p50"] == pytest.approx(0.25, rel=0.01)
    else:
        assert "request.queue_seconds" not in shown
