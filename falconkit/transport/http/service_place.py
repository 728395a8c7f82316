"""Where a service is, as its environment variable or ``sd=`` says it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

from falconkit.errors import ConfigurationError
from falconkit.sd import Instancer, from_url
from falconkit.transport.http.client_target import Target


class Place(NamedTuple):
    """Where a service is.

    Attributes:
        instancer: Says which instances there are.
        scheme: ``http`` or ``https``: how each of them is spoken to.
        prefix: What stands before every path, "" or as ``/v1``.
    """

    instancer: Instancer
    scheme: str
    prefix: str


def variable_of(service: str) -> str:
    """Return the environment variable that says where a service is.

    >>> variable_of("counter"), variable_of("price-list")
    ('COUNTER_URL', 'PRICE_LIST_URL')
    """
    return re.sub(r"[^A-Z0-9]", "_", service.upper()) + "_URL"


def place_of(
    service: str, sd: Instancer | str | None, scheme: str | None, environ: Mapping[str, str]
) -> Place:
    """Find out where a service is; opens nothing.

    >>> place_of("counter", None, None, {"COUNTER_URL": "https://counter.example/v1"})
    Place(instancer=Static('counter.example:443'), scheme='https', prefix='/v1')

    Raises:
        ConfigurationError: Nobody says it, or it cannot be read; the message names the variable.
    """
    if scheme not in (None, "http", "https"):
        raise ConfigurationError(f"scheme is 'http' or 'https', got {scheme!r}")
    if sd is not None and not isinstance(sd, str):
        if not all(callable(getattr(sd, each, None)) for each in ("listen", "forget", "close")):
            raise ConfigurationError(f"sd= is an Instancer or a discovery URL, got {sd!r}")
        return Place(sd, scheme or "http", "")
    said = "sd=" if sd is not None else variable_of(service)
    url = (environ.get(said, "") if sd is None else sd).strip()
    if not url:
        raise ConfigurationError(
            f"nobody says where {service} is: set {said}, as in static://10.0.0.1:8000 or "
            f"dns+srv://_http._tcp.{service}, or give sd="
        )
    try:
        return _read(url, scheme)
    except ConfigurationError as error:
        raise ConfigurationError(f"{said}: {error}") from error


def _read(url: str, scheme: str | None) -> Place:
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise ConfigurationError(f"{url!r} cannot be read: {error}") from None
    if "@" in parts.netloc:
        # Without the URL, which has a secret in it.
        raise ConfigurationError("the URL has credentials: send them in a header, by before=")
    secure = parts.scheme == "https"
    if secure and scheme == "http":
        raise ConfigurationError(f"{url!r} is https, and scheme= says http: leave scheme= out")
    if parts.scheme == "file":
        return Place(from_url(url), scheme or "http", "")
    prefix = parts.path.rstrip("/")
    if Target(f"http://host{prefix}").names:
        raise ConfigurationError(f"{url!r} has names in its path: they stand in an endpoint's")
    instancer = from_url(parts._replace(path="").geturl())
    return Place(instancer, "https" if secure else scheme or "http", prefix)
