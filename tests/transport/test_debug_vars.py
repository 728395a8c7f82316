import json

import pytest

from falconkit.debug import Vars
from falconkit.debug.vars import from_this_machine
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
