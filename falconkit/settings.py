"""Every environment variable that falconkit reads: in one place, typed, validated."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from falconkit.errors import ConfigurationError

# The notation of the `limits` package, which reads it for real where it is used.
_RATE = re.compile(
    r"\s*\d+\s*(/|per)\s*\d*\s*(second|minute|hour|day|month|year)s?\s*", re.IGNORECASE
)
_STORAGES = ("arena", "memory", "redis", "rediss", "redis+unix", "unix")
_SECRET = re.compile(r"(://[^/@\s]*:)[^/@\s]*@")


class _BadValueError(ValueError):
    """What a value should have been."""


def _text(raw: str) -> str:
    return raw


def _whole(low: int, high: int) -> Callable[[str], int]:
    def parse(raw: str) -> int:
        # int() also takes " 2", "0_2" and Arabic digits; "02" is what buildpacks set.
        if not (raw.isascii() and raw.isdigit() and low <= int(raw) <= high):
            raise _BadValueError(f"a whole number from {low} to {high}")
        return int(raw)

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(raw: str) -> float:
        try:
            value = float(raw)
        except ValueError:
            value = -1.0
        if not low <= value <= high:
            raise _BadValueError(f"seconds from {low:g} to {high:g}")
        return value

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(raw: str) -> str:
        for word in words:
            if raw.lower() == word.lower():
                return word
        raise _BadValueError(f"one of {', '.join(words)}")

    return parse


def _rate(raw: str) -> str:
    if not _RATE.fullmatch(raw) or int(re.findall(r"\d+", raw)[0]) == 0:
        raise _BadValueError("a rate such as '30/minute' or '1 per 2 second'")
    return raw


def _storage(raw: str) -> str:
    if urlsplit(raw).scheme not in _STORAGES or "://" not in raw:
        raise _BadValueError(
            f"a storage URI that starts with one of {', '.join(s + '://' for s in _STORAGES)}"
        )
    return raw


def _redis_url(raw: str) -> str:
    if urlsplit(raw).scheme not in ("redis", "rediss", "unix"):
        raise _BadValueError("a redis://, rediss:// or unix:// URL")
    return raw


def _name(raw: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", raw):
        raise _BadValueError("1 to 64 letters, digits, '_', '.' or '-'")
    return raw


def _variable(
    name: str,
    default: Any,
    parse: Callable[[str], Any],
    meaning: str,
    *,
    shown: str | None = None,
    secret: bool = False,
) -> Any:
    return dataclasses.field(
        default=default,
        repr=not secret,
        metadata={
            "name": name,
            "parse": parse,
            "meaning": meaning,
            "shown": shown,
            "secret": secret,
        },
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the environment asks for. Made by `from_env`, or by keyword in a test.

    >>> Settings.from_env({"PORT": "8080"}).port
    8080
    >>> Settings.from_env({"WEB_CONCURRENCY": "many"})
    Traceback (most recent call last):
    falconkit.errors.ConfigurationError: WEB_CONCURRENCY='many': give a whole number from 1 to 256
    """

    port: int = _variable("PORT", 8000, _whole(0, 65535), "the port to serve on")
    web_concurrency: int = _variable(
        "WEB_CONCURRENCY", 2, _whole(1, 256), "gunicorn's worker processes"
    )
    rate_limit: str = _variable(
        "RATE_LIMIT", "1 per 2 second", _rate, "the rate of calls that is let through"
    )
    rate_burst: int | None = _variable(
        "RATE_BURST",
        None,
        _whole(1, 10**9),
        "calls at once that a full bucket lets through",
        shown="the number in RATE_LIMIT",
    )
    rate_storage: str = _variable(
        "RATE_STORAGE",
        "arena://",
        _storage,
        "where the limit is kept: arena:// (this host), memory:// (each worker), redis://HOST",
    )
    redis_url: str | None = _variable(
        "REDIS_URL", None, _redis_url, "where the total is kept; unset: in COUNTER_DB"
    )
    counter_db: str = _variable(
        "COUNTER_DB", "counter.db", _text, "the SQLite file of the total when REDIS_URL is unset"
    )
    log_format: str = _variable(
        "LOG_FORMAT",
        "auto",
        _one_of("auto", "json", "logfmt", "console"),
        "json, logfmt, console; auto is console on a terminal and json elsewhere",
    )
    log_level: str = _variable(
        "LOG_LEVEL",
        "INFO",
        _one_of("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
        "the least serious lines that are written",
    )
    service_name: str = _variable(
        "SERVICE_NAME", "falconkit", _name, "keeps this service's shared keys apart from others'"
    )
    trusted_hops: int = _variable(
        "TRUSTED_HOPS",
        0,
        _whole(0, 16),
        "how many proxies in front may say who calls (X-Forwarded-For)",
        shown="1 on Heroku, else 0",
    )
    max_body: int = _variable(
        "MAX_BODY", 1 << 20, _whole(0, 1 << 40), "bytes of a request's body that are taken"
    )
    body_timeout: float = _variable(
        "BODY_TIMEOUT", 10.0, _seconds(0.001, 3600), "seconds in which a body must arrive"
    )
    drain_seconds: float = _variable(
        "DRAIN_SECONDS", 5.0, _seconds(0, 25), "seconds a stopping server still takes new calls"
    )
    stuck_after: float = _variable(
        "STUCK_AFTER",
        20.0,
        _seconds(0.01, 86400),
        "seconds after which a request's stack is logged",
    )
    run: str | None = _variable(
        "FALCONKIT_RUN",
        None,
        _text,
        "the folder that the workers of this host share",
        shown="one is made under /dev/shm",
    )
    statsd_host: str | None = _variable(
        "STATSD_HOST", None, _text, "the StatsD daemon; unset: nothing is sent"
    )
    statsd_port: int = _variable("STATSD_PORT", 8125, _whole(1, 65535), "its port")
    statsd_prefix: str = _variable("STATSD_PREFIX", "", _text, "put before every metric's name")
    debug_vars: str = _variable(
        "DEBUG_VARS",
        "closed",
        _one_of("open", "closed", "token"),
        "who may read /debug/vars: everybody; this machine and who has the token; the latter only",
    )
    debug_page: str = _variable(
        "DEBUG_PAGE",
        "off",
        _one_of("off", "local", "token"),
        "the page /debug: none; for this machine and who has the token; for the latter only",
    )
    debug_token: str = _variable(
        "DEBUG_TOKEN",
        "",
        _text,
        "opens /debug, and forces breakers there; 16 characters or more",
        secret=True,
    )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **defaults: Any) -> Settings:
        """Read the environment.

        Args:
            environ: The variables; ``os.environ`` when None. A variable that
                is empty counts as unset.
            **defaults: Defaults of a service's own, by field name.

        Raises:
            ConfigurationError: A value cannot be used; the message names the
                variable, the value (not a secret one) and what to give.
        """
        environ = os.environ if environ is None else environ
        if "DYNO" in environ:
            defaults = {"trusted_hops": 1} | defaults
        values = dict(defaults)
        for each in dataclasses.fields(cls):
            name = each.metadata["name"]
            raw = environ.get(name, "").strip()
            if not raw:
                continue
            try:
                values[each.name] = each.metadata["parse"](raw)
            except _BadValueError as ex:
                raise ConfigurationError(f"{name}={_hidden(raw)!r}: give {ex}") from None
        if "DYNO" in environ:
            for url in {"redis_url", "rate_storage"} & values.keys():
                values[url] = _heroku_tls(values[url])
        return cls(**values)

    def table(self) -> list[tuple[str, str, str]]:
        """Return ``(variable, present value, meaning)`` for each, secrets hidden."""
        rows = []
        for each in dataclasses.fields(self):
            value = getattr(self, each.name)
            shown = "" if value is None else _hidden(f"{value:g}" if _is_float(value) else value)
            if each.metadata["secret"]:
                shown = "***" if value else ""
            if value == each.default and each.metadata["shown"]:
                shown = f"{shown} ({each.metadata['shown']})".strip()
            rows.append((each.metadata["name"], shown, each.metadata["meaning"]))
        return rows


def _heroku_tls(url: str) -> str:
    # Heroku's Redis serves a certificate of its own making and its URL does not say so.
    if url.startswith("rediss://") and "ssl_cert_reqs" not in url:
        return f"{url}{'&' if '?' in url else '?'}ssl_cert_reqs=none"
    return url


def _is_float(value: object) -> bool:
    return isinstance(value, float)


def _hidden(value: object) -> str:
    return _SECRET.sub(r"\1***@", str(value))
