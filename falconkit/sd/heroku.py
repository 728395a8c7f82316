"""Heroku's Private Spaces, whose dynos find each other by DNS.

The names and variables are those of Heroku's "Private Spaces DNS Service
Discovery" (devcenter.heroku.com/articles/dyno-dns-service-discovery):
``web.APP.app.localspace`` has the address of each of a formation's dynos. Spaces of the Fir
generation have no such names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from falconkit.errors import ConfigurationError
from falconkit.sd.discovery import Discovery
from falconkit.sd.dns import dns_hosts
from falconkit.sd.instance import Instance

_APP = re.compile(r"[a-z][a-z0-9-]{1,29}\Z")
_PROCESS = re.compile(r"[A-Za-z0-9_-]{1,30}\Z")
_AT_MOST = 10.0
"""Seconds: dynos are replaced at each deploy, and once a day."""


def heroku_space(app: str, port: int, *, process: str = "web", **how: Any) -> Discovery:
    """Return an `Instancer` over the dynos of another app in the same Private Space.

    >>> heroku_space("counter", 8000)
    Discovery('dns web.counter.app.localspace')

    Args:
        app: The app's name.
        port: Where its processes listen: a fixed port, since a dyno's ``PORT`` cannot be asked.
        process: The process type.
        **how: Options of `dns_hosts`.

    Raises:
        ConfigurationError: A value cannot be used.
    """
    if not _APP.match(app) or not _PROCESS.match(process):
        raise ConfigurationError(
            f"a Heroku app's name is as in 'counter-eu', a process type as in 'web', "
            f"got {app!r} and {process!r}"
        )
    return _formation(f"{process}.{app}.app.localspace", port, how)


def heroku_peers(port: int, *, environ: Mapping[str, str] | None = None, **how: Any) -> Discovery:
    """Return an `Instancer` over the dynos of this one's own formation.

    >>> heroku_peers(8000, environ={"HEROKU_DNS_FORMATION_NAME": "web.counter.app.localspace"})
    Discovery('dns web.counter.app.localspace')

    Raises:
        ConfigurationError: This is no dyno of a Private Space.
    """
    return _formation(_variable("HEROKU_DNS_FORMATION_NAME", environ), port, how)


def heroku_self(port: int, *, environ: Mapping[str, str] | None = None) -> Instance:
    """Return this dyno as others in its Private Space see it, to be registered somewhere.

    >>> heroku_self(8000, environ={
    ...     "HEROKU_PRIVATE_IP": "10.1.2.3", "HEROKU_DNS_DYNO_NAME": "1.web.a.app.localspace",
    ... }).address
    '10.1.2.3:8000'

    Raises:
        ConfigurationError: This is no dyno of a Private Space.
    """
    return Instance(
        _variable("HEROKU_PRIVATE_IP", environ),
        port,
        id=_variable("HEROKU_DNS_DYNO_NAME", environ),
    )


def _formation(name: str, port: int, how: dict[str, Any]) -> Discovery:
    options: dict[str, Any] = {"family": "A", "at_most": _AT_MOST}
    return dns_hosts(name, port, **(options | how))


def _variable(name: str, environ: Mapping[str, str] | None) -> str:
    value = (os.environ if environ is None else environ).get(name, "")
    if not value:
        raise ConfigurationError(
            f"{name} is not set: this is no dyno of a Private Space with DNS discovery"
        )
    return value
