from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from limits import parse

from falconkit.__main__ import main
from falconkit.errors import ConfigurationError
from falconkit.settings import Settings

README = Path(__file__).parents[2] / "README.md"


def test_defaults() -> None:
    settings = Settings.from_env({})
    assert settings == Settings()
    assert settings.port == 8000
    assert settings.rate_limit == "1 per 2 second"
    assert settings.max_body == 1 << 20
    assert settings.debug_vars == "closed"


def test_a_service_has_defaults_of_its_own_and_the_environment_wins() -> None:
    assert Settings.from_env({}, debug_vars="open").debug_vars == "open"
    assert Settings.from_env({"DEBUG_VARS": "closed"}, debug_vars="open").debug_vars == "closed"


def test_an_empty_variable_is_unset() -> None:
    assert Settings.from_env({"PORT": " ", "REDIS_URL": ""}) == Settings()


@pytest.mark.parametrize(
    ("environ", "field", "value"),
    [
        ({"WEB_CONCURRENCY": "02"}, "web_concurrency", 2),
        ({"RATE_LIMIT": "50/second"}, "rate_limit", "50/second"),
        ({"LOG_LEVEL": "warning"}, "log_level", "WARNING"),
        ({"BODY_TIMEOUT": "0.5"}, "body_timeout", 0.5),
        ({"DYNO": "web.1"}, "trusted_hops", 1),
        ({"DYNO": "web.1", "TRUSTED_HOPS": "0"}, "trusted_hops", 0),
        ({"RATE_BURST": "7"}, "rate_burst", 7),
        (
            {"DYNO": "web.1", "REDIS_URL": "rediss://:pw@host:1"},
            "redis_url",
            "rediss://:pw@host:1?ssl_cert_reqs=none",
        ),
        ({"REDIS_URL": "rediss://:pw@host:1"}, "redis_url", "rediss://:pw@host:1"),
    ],
)
def test_reads(environ: dict[str, str], field: str, value: object) -> None:
    assert getattr(Settings.from_env(environ), field) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PORT", "http"),
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("WEB_CONCURRENCY", "0"),
        ("RATE_LIMIT", "fast"),
        ("RATE_LIMIT", "0/second"),
        ("RATE_LIMIT", "1/fortnight"),
        ("RATE_BURST", "1.5"),
        ("RATE_STORAGE", "mysql://db"),
        ("RATE_STORAGE", "redis"),
        ("REDIS_URL", "http://host"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
        ("SERVICE_NAME", "a b"),
        ("TRUSTED_HOPS", "all"),
        ("MAX_BODY", "1MB"),
        ("BODY_TIMEOUT", "nan"),
        ("DRAIN_SECONDS", "60"),
        ("STUCK_AFTER", "0"),
        ("STATSD_PORT", "0"),
        ("DEBUG_VARS", "maybe"),
    ],
)
def test_a_bad_value_names_the_variable_and_what_to_give(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^{name}={value!r}: give \w"):
        Settings.from_env({name: value})


@given(
    count=st.integers(1, 10**6),
    every=st.integers(1, 99),
    unit=st.sampled_from(["second", "minute", "hour", "day", "month", "year"]),
    form=st.sampled_from(["{}/{}{}", "{} per {} {}", "{}/{} {}s"]),
)
def test_takes_every_rate_that_limits_takes(count: int, every: int, unit: str, form: str) -> None:
    rate = form.format(count, every, unit)
    parse(rate)
    assert Settings.from_env({"RATE_LIMIT": rate}).rate_limit == rate


def test_secrets_are_hidden(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://user:hunter2@host:1/0")
    assert main(["env"]) == 0
    printed = capsys.readouterr().out
    assert "hunter2" not in printed
    assert "redis://user:***@host:1/0" in printed
    with pytest.raises(ConfigurationError) as caught:
        Settings.from_env({"RATE_STORAGE": "mysql://user:hunter2@host"})
    assert "hunter2" not in str(caught.value)


def test_env_prints_every_variable_and_the_readme_names_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["env"]) == 0
    printed = {line.split()[0] for line in capsys.readouterr().out.splitlines()}
    names = {each.metadata["name"] for each in dataclasses.fields(Settings)}
    assert printed == names
    assert names <= set(re.findall(r"`([A-Z_]+)`", README.read_text()))


def test_env_of_a_bad_environment_is_an_error_in_one_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "falconkit", "env"],
        env={"PORT": "http"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "PORT='http': give a whole number from 0 to 65535\n"
