"""Who is let in under ``/debug``, who may act there, and what strangers are told."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from falconkit.arena import Arena
from falconkit.circuitbreaker import CircuitBreaker, guard
from falconkit.debug.breakers import id_of
from falconkit.debug.door import asks_this_machine
from falconkit.debug.token import COOKIE, SECONDS, Token
from falconkit.errors import ConfigurationError
from falconkit.settings import Settings
from falconkit.testing import ManualClock
from falconkit.tracing import TraceRing
from falconkit.transport import http
from tests.transport.serving import call, environ, make

SECRET = "0123456789abcdef"
BEARER = {"HTTP_AUTHORIZATION": f"Bearer {SECRET}"}
HERE = {"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8000"}
THERE = {"REMOTE_ADDR": "10.0.0.9", "HTTP_HOST": "shop.example"}
OURS = {"HTTP_ORIGIN": "http://shop.example", "HTTP_SEC_FETCH_SITE": "same-origin"}
PAGES = ("/debug", "/debug/state", "/debug/vars", "/debug/traces")


def app_of(tmp_path, clock=None, **settings) -> http.App:
    arena = Arena(tmp_path / "traces")
    return make(
        tmp_path, clock=clock or ManualClock(), traces=TraceRing(arena=arena), settings=settings
    )


def get(app, path="/debug/state", **more):
    return call(app, environ("GET", path, **more))


def log_in(app, token=SECRET, **more):
    body = urlencode({"token": token}).encode()
    return call(app, environ("POST", "/debug/login", body, **{**THERE, **OURS, **more}))


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    ("settings", "who", "let_in"),
    [
        ({"debug_page": "local"}, HERE, True),
        ({"debug_page": "local"}, THERE, False),
        ({"debug_page": "local"}, {**THERE, **BEARER}, False),  # nothing fits no token
        ({"debug_page": "local"}, {**HERE, "HTTP_X_FORWARDED_FOR": "127.0.0.1"}, False),
        ({"debug_page": "local"}, {**HERE, "HTTP_HOST": "evil.example"}, False),
        ({"debug_page": "local", "debug_token": SECRET}, HERE, True),
        ({"debug_page": "local", "debug_token": SECRET}, {**THERE, **BEARER}, True),
        (
            {"debug_page": "token", "debug_token": SECRET, "debug_vars": "token"},
            {**HERE, **BEARER},
            True,
        ),
        ({"debug_page": "token", "debug_token": SECRET, "debug_vars": "token"}, HERE, False),
    ],
)
def test_who_is_let_in(tmp_path, path, settings, who, let_in):
    status, _, _ = get(app_of(tmp_path, **settings), path, **who)
    assert status == ("200 OK" if let_in else "403 Forbidden")


@pytest.mark.parametrize("token", ["", SECRET])
def test_strangers_get_one_refusal(tmp_path, token):
    app = app_of(tmp_path, debug_page="local", debug_token=token)
    answers = {get(app, path, **THERE)[::2] for path in PAGES[1:]}
    assert len(answers) == 1
    (answer,) = answers
    if token:  # there is something that a person can do
        status, headers, body = get(app, "/debug", **THERE)
        assert (status, b'type="password"' in body) == ("403 Forbidden", True)
        assert "script-src" not in headers["content-security-policy"]
    else:
        assert get(app, "/debug", **THERE)[::2] == answer


def test_the_numbers_can_be_open_while_the_page_is_not(tmp_path):
    app = app_of(tmp_path, debug_page="local", debug_vars="open")
    assert get(app, "/debug/vars", **THERE)[0] == "200 OK"
    assert get(app, "/debug/state", **THERE)[0] == "403 Forbidden"


@pytest.mark.parametrize(
    "given",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Basic {SECRET}",
        f"Bearer {SECRET}x",
        f"Bearer {SECRET[:-1]}",
        SECRET,
    ],
)
def test_what_is_not_the_token_opens_nothing(tmp_path, given):
    app = app_of(tmp_path, debug_page="token", debug_token=SECRET)
    assert get(app, **HERE, HTTP_AUTHORIZATION=given)[0] == "403 Forbidden"


def test_a_token_in_the_address_opens_nothing(tmp_path):
    app = app_of(tmp_path, debug_page="token", debug_token=SECRET)
    assert get(app, **HERE, QUERY_STRING=f"token={SECRET}")[0] == "403 Forbidden"


def test_logging_in_gives_a_cookie_that_is_not_the_token(tmp_path):
    clock = ManualClock(time=1_700_000_000.0)
    app = app_of(tmp_path, clock, debug_page="token", debug_token=SECRET, debug_vars="token")
    status, headers, _ = log_in(app)
    assert (status, headers["location"]) == ("303 See Other", "/debug")
    cookie = headers["set-cookie"]
    for word in (f"{COOKIE}=", "HttpOnly", "SameSite=Strict", "Path=/debug", f"Max-Age={SECONDS}"):
        assert word in cookie
    assert SECRET not in cookie
    assert "Secure" not in cookie
    sent = {**THERE, "HTTP_COOKIE": cookie.partition(";")[0]}
    for path in PAGES:
        assert get(app, path, **sent)[0] == "200 OK"
    clock.advance(SECONDS)
    assert get(app, **sent)[0] == "403 Forbidden"


def test_behind_tls_the_cookie_stays_there(tmp_path):
    app = app_of(tmp_path, debug_page="token", debug_token=SECRET)
    assert "Secure" in log_in(app, HTTP_X_FORWARDED_PROTO="https")[1]["set-cookie"]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(max_size=60))
def test_no_cookie_but_ours_is_good(text):
    clock = ManualClock(time=1_700_000_000.0)
    token = Token(SECRET, clock=clock)
    assert not token.made(text)
    until, _, seal = token.cookie().partition(".")
    assert not token.made(f"{int(until) + 1}.{seal}")
    assert not Token(SECRET + "x", clock=clock).made(token.cookie())


def test_a_wrong_token_is_told_and_gives_none(tmp_path):
    app = app_of(tmp_path, debug_page="token", debug_token=SECRET)
    status, headers, body = log_in(app, token="<b>guess</b>")
    assert status == "403 Forbidden"
    assert "set-cookie" not in headers
    assert b"not the token" in body
    assert b"guess" not in body


def test_a_form_that_is_too_long_or_no_form_is_refused(tmp_path):
    app = app_of(tmp_path, debug_page="token", debug_token=SECRET)
    assert log_in(app, token="x" * 5000)[0] == "403 Forbidden"
    env = environ("POST", "/debug/login", b"\xff\xfe&&==", **THERE, **OURS)
    assert call(app, env)[0] == "403 Forbidden"


FOREIGN = [
    {},
    {"HTTP_ORIGIN": "https://evil.example"},
    {"HTTP_ORIGIN": "null"},
    {"HTTP_ORIGIN": "http://[broken"},
    {"HTTP_SEC_FETCH_SITE": "cross-site"},
    {"HTTP_SEC_FETCH_SITE": "same-site"},
    {"HTTP_ORIGIN": "http://shop.example", "HTTP_SEC_FETCH_SITE": "cross-site"},
    {"HTTP_ORIGIN": "https://evil.example", "HTTP_SEC_FETCH_SITE": "same-origin"},
]


class Forced:
    """An app with a breaker, and a cookie for it."""

    def __init__(self, tmp_path, **settings) -> None:
        arena = Arena(tmp_path / "breakers")
        self.breaker = CircuitBreaker("bank", arena=arena)
        settings = {"debug_page": "local", "debug_token": SECRET} | settings
        self.app = app_of(tmp_path, **settings)
        self.app.post(
            "/bank", lambda ctx, v: v, guard(self.breaker), name="bank",
            decode=http.json_decoder(int),
        )  # fmt: skip
        self.cookie = ""
        if settings["debug_token"]:
            self.cookie = log_in(self.app)[1]["set-cookie"].partition(";")[0]

    def force(self, action="force-open", breaker_id=None, **more):
        path = f"/debug/breakers/{breaker_id or id_of(self.breaker)}/{action}"
        return call(self.app, environ("POST", path, **more))


@pytest.fixture
def forced(tmp_path):
    return Forced(tmp_path)


@pytest.mark.parametrize("sent", FOREIGN)
def test_no_other_site_can_use_the_cookie(forced, sent):
    who = {**THERE, "HTTP_COOKIE": forced.cookie}
    assert forced.force(**who, **sent)[0] == "403 Forbidden"
    assert log_in(forced.app, HTTP_ORIGIN="", HTTP_SEC_FETCH_SITE="cross-site")[0].startswith("403")
    assert forced.breaker.state == "closed"


@pytest.mark.parametrize("sent", FOREIGN[1:])
def test_nor_the_token_in_a_browser(forced, sent):
    assert forced.force(**THERE, **BEARER, **sent)[0] == "403 Forbidden"


def test_whoever_has_the_token_forces_a_breaker(forced):
    who = {**THERE, "HTTP_COOKIE": forced.cookie, **OURS}
    for action, state in (
        ("force-open", "forced-open"),
        ("force-closed", "forced-closed"),
        ("reset", "closed"),
    ):
        assert forced.force(action, **who)[0] == "204 No Content"
        assert forced.breaker.state == state
    assert forced.force(**THERE, **BEARER)[0] == "204 No Content"  # a program, as curl
    assert forced.breaker.state == "forced-open"
    behind = {**who, "HTTP_HOST": "10.1.1.1:8000", "HTTP_X_FORWARDED_HOST": "shop.example"}
    assert forced.force("reset", **behind)[0] == "204 No Content"


def test_it_is_told_at_once(forced):
    heard = []
    forced.app.events.listen(heard.append)
    forced.force(**THERE, **BEARER)
    assert [each.new for each in heard if hasattr(each, "new")] == ["forced-open"]


@pytest.mark.parametrize("token", ["", SECRET])
def test_without_the_token_nobody_acts_even_from_here(tmp_path, token):
    forced = Forced(tmp_path, debug_token=token)
    here = {**HERE, "HTTP_ORIGIN": "http://localhost:8000"}
    assert get(forced.app, **HERE)[0] == "200 OK"
    assert forced.force(**here)[0] == "403 Forbidden"
    assert forced.breaker.state == "closed"


@pytest.mark.parametrize(
    ("action", "breaker_id"),
    [("force-open", "0" * 16), ("explode", None), ("__init__", None), ("status", None)],
)
def test_what_is_not_there_is_not_found(forced, action, breaker_id):
    assert forced.force(action, breaker_id, **THERE, **BEARER)[0] == "404 Not Found"


def test_a_breaker_of_each_worker_is_not_forced(tmp_path):
    app = app_of(tmp_path, debug_page="local", debug_token=SECRET)
    breaker = CircuitBreaker("own", shared=False)
    app.post("/o", lambda ctx, v: v, guard(breaker), name="o", decode=http.json_decoder(int))
    env = environ("POST", f"/debug/breakers/{id_of(breaker)}/force-open", **THERE, **BEARER)
    assert call(app, env)[0] == "404 Not Found"
    assert breaker.state == "closed"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_a_breaker_is_forced_by_nothing_but_post(forced, method):
    path = f"/debug/breakers/{id_of(forced.breaker)}/force-open"
    assert call(forced.app, environ(method, path, **THERE, **BEARER))[0].startswith("405")
    assert forced.breaker.state == "closed"


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"debug_page": "ajar"}, "DEBUG_PAGE='ajar'"),
        ({"debug_page": "token"}, "DEBUG_TOKEN"),
        ({"debug_vars": "token"}, "DEBUG_TOKEN"),
        ({"debug_token": "short"}, "5 characters"),
        ({"debug_token": "with\nlines of their own"}, "printed"),
    ],
)
def test_what_cannot_work_is_said_at_once(tmp_path, settings, why):
    with pytest.raises(ConfigurationError, match=why):
        app_of(tmp_path, **settings)


def test_the_token_is_shown_nowhere():
    settings = Settings.from_env({"DEBUG_TOKEN": SECRET})
    assert settings.debug_token == SECRET
    assert SECRET not in repr(settings)
    assert SECRET not in str(settings.table())
    assert ("DEBUG_TOKEN", "***") in [row[:2] for row in settings.table()]
    assert SECRET not in repr(Token(SECRET))


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("localhost", True),
        ("localhost:8000", True),
        ("app.localhost:8000", True),
        ("127.0.0.1:8000", True),
        ("[::1]:8000", True),
        ("192.0.2.1", True),  # no name, so none that was made to lead here
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("", False),
        ("[::1", True),
    ],
)
def test_this_machine_is_asked_by_its_name(host, ours):
    assert asks_this_machine({"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": host}) is ours
