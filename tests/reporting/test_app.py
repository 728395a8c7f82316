"""What an app reports, by whichever way the request goes."""

from __future__ import annotations

import falcon
import pytest
from falcon.testing import TestClient

from falconkit import Context
from falconkit.arena import Arena
from falconkit.errors import Failed, OutcomeUnknown, RateLimited, UpstreamTimeout
from falconkit.events import BackendFailed
from falconkit.metrics import Metrics, expvar
from falconkit.settings import Settings
from falconkit.transport import http

PLAIN = ("Content-Type", "text/plain")


@pytest.fixture
def told():
    return []


@pytest.fixture
def app(tmp_path, told):
    arena = Arena(tmp_path)
    app = http.app(settings=Settings(), metrics=Metrics(arena=arena), arena=arena)
    app.on_error(told.append, inline=True)
    yield app
    app.close()
    arena.close()


def raising(error):
    def fails(ctx: Context, v: int) -> int:
        raise error

    return fails


class Gone(Failed):
    status = 503


class Returned:
    def failed(self):
        return Gone("sold")


def behind(error):
    error.upstream = "billing"
    return error


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (KeyError("v"), 500, "request"),
        (OutcomeUnknown(), 503, "request"),
        (UpstreamTimeout("late", upstream="billing"), 504, "call"),
        (Gone("sold"), 503, "request"),
        (falcon.HTTPServiceUnavailable(), 503, "request"),
        (RateLimited(), 429, None),
        (behind(RateLimited()), 503, None),
        (Failed("no"), 409, None),
        (falcon.HTTPNotFound(), 404, None),
        (falcon.HTTPStatus(204), 204, None),
    ],
)
@pytest.mark.parametrize("plain", [False, True], ids=["endpoint", "resource"])
def test_which_errors_are_reported(app, told, error, status, kind, plain):
    class Plain:
        def on_post(self, req, resp):
            raise error

    if plain:
        app.add_route("/pay", Plain())
    else:
        app.post("/pay", raising(error), name="pay")
    answer = TestClient(app).simulate_post("/pay?card=4111", body="1", remote_addr="192.0.2.7")
    assert answer.status_code == status
    assert [report.kind for report in told] == ([] if kind is None else [kind])
    for report in told:
        assert report.error is error
        assert report.request_id == answer.headers["X-Request-ID"]
        assert (report.status, report.method, report.path) == (status, "POST", "/pay")
        assert report.endpoint == ("" if plain else "pay")
        assert report.caller_kind == "address"


def test_a_failure_that_is_returned_counts_by_its_status(app, told):
    def sold(ctx: Context, v: int) -> Returned:
        return Returned()

    app.post("/sold", sold)
    assert TestClient(app).simulate_post("/sold", body="1").status_code == 503
    assert [report.message for report in told] == ["Gone: sold"]


def test_what_no_route_takes_and_what_cannot_be_read_is_not_reported(app, told):
    app.post("/pay", raising(KeyError("v")), name="pay")
    client = TestClient(app)
    assert client.simulate_post("/nowhere").status_code == 404
    assert client.simulate_get("/pay").status_code == 405
    assert client.simulate_post("/pay", body="x").status_code == 400
    assert told == []


def test_an_encoder_and_an_error_encoder_that_fail_are_reported(app, told):
    def breaks(*args):
        raise RuntimeError("broken encoder")

    def answers(ctx: Context, v: int) -> int:
        return v

    app.post("/encode", answers, encode=breaks, name="encode")
    app.post("/error", raising(KeyError("v")), encode_error=breaks, name="error")
    client = TestClient(app)
    assert client.simulate_post("/encode", body="1").status_code == 500
    assert client.simulate_post("/error", body="1").status_code == 500
    assert [(report.endpoint, report.message) for report in told] == [
        ("encode", "RuntimeError: broken encoder"),
        ("error", "KeyError: 'v'"),
        ("error", "RuntimeError: broken encoder"),
    ]


def test_a_body_that_breaks_off_is_reported_once(app, told):
    def chunks():
        yield b"a"
        raise OSError("the file is gone")

    def streams(ctx: Context, v: int) -> int:
        return v

    app.post("/stream", streams, encode=lambda ctx, value: http.Reply(200, [PLAIN], chunks()))
    with pytest.raises(OSError, match="is gone"):
        TestClient(app).simulate_post("/stream", body="1")
    [report] = told
    assert (report.kind, report.path) == ("log", "/stream")
    assert "broke off after 1 bytes" in report.message


def test_what_a_handler_of_the_user_s_takes_is_his(app, told):
    def handle(req, resp, ex, params):
        resp.status = 503

    app.add_error_handler(KeyError, handle)
    app.post("/pay", raising(KeyError("v")), name="pay")
    assert TestClient(app).simulate_post("/pay", body="1").status_code == 503
    assert told == []


def test_frames_hold_nothing_of_the_request(app, told):
    def pays(ctx: Context, request: dict) -> int:
        raise KeyError("v")

    class Plain:
        def on_post(self, req, resp):
            req.media  # noqa: B018 - which keeps it
            raise KeyError("v")

    app.post("/pay", pays)
    app.add_route("/plain", Plain())
    for path in ("/pay", "/plain"):
        TestClient(app).simulate_post(
            path, json={"card": "4111"}, headers={"Authorization": "Bearer hunter2"}
        )
    assert len(told) == 2
    for report in told:
        trace = report.error.__traceback__
        while trace is not None:
            assert trace.tb_frame.f_locals == {}
            trace = trace.tb_next
        assert "line" in report.traceback


def test_events_are_heard_and_reports_are_counted(app, told):
    app.events.tell(BackendFailed("statsd", "away"))
    app.on_error(told.append, inline=True, events=())
    app.post("/pay", raising(KeyError("v")), name="pay")
    for _ in range(11):
        TestClient(app).simulate_post("/pay", body="1")
    assert [report.kind for report in told] == ["event"] + ["request"] * 20
    shown = expvar(app.metrics)
    assert (shown["errors.reported"], shown["errors.repeated"]) == (21, 2)


def test_a_broken_hook_changes_no_answer(tmp_path):
    def broken(report):
        raise ValueError("broken hook")

    arena = Arena(tmp_path)
    for inline in (True, False):
        app = http.app(settings=Settings(), metrics=Metrics(arena=arena), arena=arena)
        reporter = app.on_error(broken, inline=inline)
        app.post("/pay", raising(KeyError("v")), name="pay")
        answer = TestClient(app).simulate_post("/pay", body="1")
        assert (answer.status_code, answer.text) == (500, "internal server error")
        app.close()
        assert reporter.counts["failed"] == 1
    arena.close()
