"""``/debug``: the page for the one on call, what it polls, and what its buttons do."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib import resources
from typing import Any, Final, Protocol, cast
from urllib.parse import parse_qs

import falcon
import msgspec

from falconkit.debug.breakers import NotThere
from falconkit.debug.door import Door
from falconkit.debug.origin import check_origin
from falconkit.debug.reader import Reader, Shown
from falconkit.debug.token import COOKIE, SECONDS
from falconkit.errors import ConfigurationError, Forbidden
from falconkit.events import Events

_HTML: Final = "text/html; charset=utf-8"
_LONGEST_FORM: Final = 4096


class App(Shown, Protocol):
    """The app whose page it is."""

    @property
    def events(self) -> Events:
        """Who hears that a breaker was forced."""

    def add_route(self, uri_template: str, resource: object, /) -> None:
        """Add a resource."""


def add_page(app: App, reader: Reader, door: Door) -> None:
    """Add the page to an app: ``/debug`` and what is under it.

    Args:
        app: The app.
        reader: Reads its state.
        door: Who may see it.
    """
    app.add_route("/debug", Page(door))
    app.add_route("/debug/state", State(app, reader, door))
    app.add_route("/debug/login", Login(door))
    app.add_route("/debug/breakers/{breaker}/{action}", Force(app, reader, door))


class Page:
    """The page itself: one document, with nothing fetched but ``/debug/state``.

    Args:
        door: Who may see it. Where there is a token, strangers get a form for it.
    """

    def __init__(self, door: Door) -> None:
        self._door = door
        self._page, self._policy = _document("page.html", with_script=True)
        self._login = _login_form("")

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show it.

        Raises:
            Forbidden: Who asks is a stranger, and there is no token that would help.
        """
        if self._door.lets_in(req):
            _show(resp, self._page, self._policy)
        elif self._door.token:
            resp.status = falcon.HTTP_403
            _show(resp, *self._login)
        else:
            self._door.check(req)

    on_head = on_get


class State:
    """What the page polls, see `falconkit.debug.state`."""

    def __init__(self, app: Shown, reader: Reader, door: Door) -> None:
        self._app, self._reader, self._door = app, reader, door

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show it.

        Raises:
            Forbidden: Who asks is a stranger.
        """
        self._door.check(req)
        token = self._door.token
        state = self._reader.read(self._app, may_act=token.is_with(req), has_token=bool(token))
        resp.content_type = "application/json; charset=utf-8"
        _close_to_others(resp)
        resp.data = msgspec.json.encode(state)

    on_head = on_get


class Login:
    """Takes the token once, and gives a cookie that stands for it."""

    def __init__(self, door: Door) -> None:
        self._door = door

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show the form.

        Raises:
            Forbidden: There is no token.
        """
        if not self._door.token:
            self._door.check(req)
        _show(resp, *_login_form(""))

    on_head = on_get

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take the token.

        Raises:
            Forbidden: Another site sent it, or there is no token.
        """
        _end_with_this(req)
        check_origin(req, program=False)
        token = self._door.token
        if not token:
            raise Forbidden("there is no token to log in by: set DEBUG_TOKEN")
        if not token.fits(_field(req, "token")):
            resp.status = falcon.HTTP_403
            _show(resp, *_login_form("That is not the token."))
            return
        resp.set_cookie(
            COOKIE,
            token.cookie(),
            max_age=SECONDS,
            path="/debug",
            secure=req.forwarded_scheme == "https",
            http_only=True,
            same_site="Strict",
        )
        raise falcon.HTTPSeeOther("/debug")


class Force:
    """Forces a breaker open or closed, or resets it."""

    def __init__(self, app: App, reader: Reader, door: Door) -> None:
        self._app, self._reader, self._door = app, reader, door

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, *, breaker: str, action: str
    ) -> None:
        """Do it.

        Raises:
            Forbidden: Who asks has not the token, or another site made his browser ask.
            falcon.HTTPNotFound: There is no such breaker, or no such action.
        """
        _end_with_this(req)
        token = self._door.token
        if not token.is_with(req):
            raise Forbidden("breakers are forced by whoever has DEBUG_TOKEN: log in, or send it")
        check_origin(req, program=token.is_bearer(req))
        try:
            self._reader.breakers(self._app).force(breaker, action, self._app.events)
        except (NotThere, ConfigurationError) as error:
            raise falcon.HTTPNotFound(title=str(error)) from error
        _close_to_others(resp)
        resp.status = falcon.HTTP_204


def _show(resp: falcon.Response, document: str, policy: str) -> None:
    resp.content_type = _HTML
    _close_to_others(resp)
    resp.set_header("Content-Security-Policy", policy)
    # With "no-referrer" a browser sends our own form with "Origin: null" (Fetch, 3.2).
    resp.set_header("Referrer-Policy", "same-origin")
    resp.text = document


def _close_to_others(resp: falcon.Response) -> None:
    resp.cache_control = ("no-store",)
    resp.set_header("X-Content-Type-Options", "nosniff")
    resp.set_header("Cross-Origin-Resource-Policy", "same-origin")


def _document(name: str, *, with_script: bool) -> tuple[str, str]:
    """Return a document with its style and script inside, and the policy that lets them run.

    Nothing else may: they are named by their digests (CSP level 3, 2.3.1).
    """
    files = resources.files(__package__)
    css = files.joinpath("page.css").read_text("utf-8")
    js = files.joinpath("page.js").read_text("utf-8") if with_script else ""
    text = files.joinpath(name).read_text("utf-8").replace("{css}", css).replace("{js}", js)
    policy = [
        "default-src 'none'",
        f"style-src '{_digest(css)}'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    if with_script:
        policy += [f"script-src '{_digest(js)}'", "connect-src 'self'"]
    return text, "; ".join(policy)


def _login_form(said: str) -> tuple[str, str]:
    text, policy = _document("login.html", with_script=False)
    return text.replace("{said}", escape(said)), policy


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _end_with_this(req: falcon.Request) -> None:
    # A body that is not read, of whoever it is, must not hold a thread after the answer.
    req.env["falconkit.close"] = True


class _Bodied(Protocol):
    def read_body(self) -> bytes:
        """`falconkit.transport.http.Request.read_body`: bounded in size and in time."""


def _field(req: falcon.Request, name: str) -> str:
    if (req.content_length or 0) > _LONGEST_FORM:
        raise Forbidden("that is no form with a token")
    body = cast(_Bodied, cast(Any, req)).read_body()
    return parse_qs(body.decode("utf-8", "replace")).get(name, [""])[0]
