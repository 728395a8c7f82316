"""The real SDK, with a transport that keeps what would be sent."""

from __future__ import annotations

import logging
import secrets
import sys

import pytest
import sentry_sdk
from falcon.testing import TestClient
from sentry_sdk.integrations.logging import unignore_logger
from sentry_sdk.transport import Transport

from falconkit import Context
from falconkit.arena import Arena
from falconkit.errors import ConfigurationError
from falconkit.events import BackendFailed
from falconkit.metrics import Metrics
from falconkit.reporting.sentry import SentryHook
from falconkit.settings import Settings
from falconkit.transport import http


class Kept(Transport):
    def __init__(self, options=None):
        super().__init__(options)
        self.events = []
        self.flushed = 0

    def capture_envelope(self, envelope):
        event = envelope.get_event()
        if event is not None:
            self.events.append(event)

    def flush(self, timeout, callback=None):
        self.flushed += 1


@pytest.fixture
def sentry():
    transport = Kept()
    client = sentry_sdk.get_global_scope().client
    sentry_sdk.init(dsn="http://key@127.0.0.1:9/1", transport=transport, default_integrations=False)
    yield transport
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(client)
    for name in ("falconkit", "falconkit.*", "gunicorn.error"):
        unignore_logger(name)


@pytest.fixture
def app(tmp_path):
    arena = Arena(tmp_path)
    app = http.app(settings=Settings(), metrics=Metrics(arena=arena), arena=arena)
    yield app
    app.close()
    arena.close()


def test_an_error_arrives_with_its_ids_and_without_what_the_request_brought(app, sentry):
    def pay(ctx: Context, request: dict) -> int:
        raise KeyError("iban")

    card = secrets.token_hex()
    app.on_error(SentryHook())
    app.post("/pay", pay)
    answer = TestClient(app).simulate_post(f"/pay?card={card}", json={"card": card})
    app.close()
    [event] = sentry.events
    assert event["tags"] == {
        "kind": "request",
        "expected": "false",
        "status": "500",
        "endpoint": "pay",
        "request_id": answer.headers["X-Request-ID"],
    }
    assert (event["level"], event["transaction"]) == ("error", "pay")
    [error] = event["exception"]["values"]
    assert (error["type"], error["value"]) == ("KeyError", "'iban'")
    assert error["mechanism"] == {"type": "falconkit", "handled": False}
    assert error["stacktrace"]["frames"][-1]["function"] == "pay"
    assert event["contexts"]["falconkit"]["path"] == "/pay"
    assert card not in str(event)
    assert sentry.flushed >= 1


def test_an_event_arrives_as_a_message(app, sentry):
    app.on_error(SentryHook(), inline=True)
    app.events.tell(BackendFailed("statsd", "no such host"))
    [event] = sentry.events
    assert (event["message"], event["level"]) == ("backend failed", "warning")
    assert event["contexts"]["falconkit"]["details"] == {
        "backend": "statsd",
        "cause": "no such host",
    }


def test_sentry_s_own_log_integration_does_not_tell_it_again(app, sentry):
    def pay(ctx: Context, v: int) -> int:
        raise KeyError("v")

    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1",
        transport=sentry,
        default_integrations=False,
        integrations=[sentry_sdk.integrations.logging.LoggingIntegration()],
    )
    app.on_error(SentryHook(), inline=True)
    app.post("/pay", pay)
    TestClient(app).simulate_post("/pay", body="1")
    logging.getLogger("shop").error("the user's own")
    assert [event["level"] for event in sentry.events] == ["error", "error"]
    assert sentry.events[1]["logger"] == "shop"


def test_without_the_sdk_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "sentry_sdk", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'falconkit\[sentry\]'"):
        SentryHook()
