from __future__ import annotations

import runpy
import sys

import pytest

from falconkit.errors import ConfigurationError

MODULE = "falconkit.server.gunicorn"


@pytest.fixture
def settings(monkeypatch):
    monkeypatch.delitem(sys.modules, MODULE, raising=False)  # where a test of the docs has been

    def read(**env: str):
        monkeypatch.delitem(sys.modules, MODULE, raising=False)  # it is to be read anew
        for name in ("PORT", "WEB_CONCURRENCY", "DYNO", "TRUSTED_HOPS", "DRAIN_SECONDS"):
            monkeypatch.delenv(name, raising=False)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        return runpy.run_module(MODULE)

    return read


def test_they_fit_a_platform_of_30_seconds_and_a_router_of_90(settings):
    given = settings()
    assert given["bind"] == ["0.0.0.0:8000"]
    assert given["keepalive"] > 90
    assert given["timeout"] == 25
    assert given["graceful_timeout"] == 25
    assert given["threads"] == 4
    assert given["max_requests"] == 0
    assert given["preload_app"] is False
    assert given["worker_tmp_dir"] in ("/dev/shm", None)
    assert given["forwarded_allow_ips"] == "127.0.0.1,::1"


def test_they_come_from_the_environment(settings):
    given = settings(PORT="5001", WEB_CONCURRENCY="02", LOG_LEVEL="WARNING")
    assert given["bind"] == ["0.0.0.0:5001"]
    assert given["workers"] == 2
    assert given["loglevel"] == "warning"


@pytest.mark.parametrize(("drain", "grace"), [("0", 25), ("22", 25), ("22.5", 26), ("25", 28)])
def test_the_drain_is_within_the_grace_and_both_within_30_seconds(settings, drain, grace):
    assert settings(DRAIN_SECONDS=drain)["graceful_timeout"] == grace


@pytest.mark.parametrize("env", [{"TRUSTED_HOPS": "1"}, {"DYNO": "web.1"}])
def test_a_proxy_in_front_may_say_https(settings, env):
    assert settings(**env)["forwarded_allow_ips"] == "*"


def test_a_value_that_cannot_be_is_said_with_its_variable(settings):
    with pytest.raises(ConfigurationError, match=r"^PORT='http': give a whole number"):
        settings(PORT="http")


def test_star_import_gives_settings_and_leaves_all_hooks_free(settings):
    from gunicorn.config import KNOWN_SETTINGS

    exported = set(settings()["__all__"])
    assert exported <= {each.name for each in KNOWN_SETTINGS}
    hooks = {each.name for each in KNOWN_SETTINGS if each.section == "Server Hooks"}
    assert hooks
    assert not exported & hooks
