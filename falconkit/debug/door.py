"""Who may see what is under ``/debug``: everybody, this machine, or whoever has the token."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Mapping
from typing import Any, Final

import falcon

from falconkit.debug.token import Token
from falconkit.errors import ConfigurationError, Forbidden

MODES: Final = ("open", "closed", "token")

_PROXIED: Final = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")


class Door:
    """Lets some in and refuses all others, in the same words wherever they knock.

    >>> from falcon.testing import create_req
    >>> here = create_req(remote_addr="127.0.0.1", host="localhost")
    >>> there = create_req(remote_addr="10.0.0.9")
    >>> Door("closed").lets_in(here), Door("closed").lets_in(there), Door("open").lets_in(there)
    (True, False, True)

    Args:
        mode: ``open`` to all; ``closed`` to all but this machine, and to whoever has the
            token if there is one; ``token`` for whoever has it, and nobody else.
        token: The token; one that is empty opens nothing.
        setting: What the mode was read from, for the error.
        hint: What strangers are told of who opens it.

    Raises:
        ConfigurationError: There is no such mode, or it asks for a token and there is none.
    """

    def __init__(
        self,
        mode: str = "closed",
        token: Token | None = None,
        *,
        setting: str = "the page",
        hint: str = "DEBUG_VARS=open opens the numbers to all",
    ) -> None:
        if mode not in MODES:
            raise ConfigurationError(f"{setting}={mode!r}: give 'open', 'closed' or 'token'")
        self.token = Token("") if token is None else token
        if mode == "token" and not self.token:
            raise ConfigurationError(f"{setting}='token' without a token: set DEBUG_TOKEN")
        self._mode = mode
        self._hint = hint

    def lets_in(self, req: falcon.Request) -> bool:
        """Return whether who asks may see it."""
        if self._mode == "open" or self.token.is_with(req):
            return True
        return self._mode == "closed" and asks_this_machine(req.env)

    def check(self, req: falcon.Request) -> None:
        """Refuse strangers.

        Raises:
            Forbidden: Who asks is one.
        """
        if not self.lets_in(req):
            raise Forbidden(
                f"this page is for this machine only, or for whoever has DEBUG_TOKEN; {self._hint}"
            )


def from_this_machine(env: Mapping[str, Any]) -> bool:
    """Tell whether a request was made on this machine, by nobody on another's behalf.

    Behind a proxy on the same machine every stranger's address is a loopback
    one, so a request that any proxy passed on does not count.

    >>> from_this_machine({"REMOTE_ADDR": "127.0.0.1"})
    True
    >>> from_this_machine({"REMOTE_ADDR": "127.0.0.1", "HTTP_X_REAL_IP": "127.0.0.1"})
    False
    """
    if any(name in env for name in _PROXIED):
        return False
    try:
        return ipaddress.ip_address(env.get("REMOTE_ADDR", "")).is_loopback
    except ValueError:
        return False


def asks_this_machine(env: Mapping[str, Any]) -> bool:
    """Tell whether a request was made on this machine, and to it by name.

    A page of a stranger's may make a browser on this machine ask: its name then leads
    here, by a DNS answer made for that (DNS rebinding), and it stands in ``Host``.

    >>> asks_this_machine({"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "localhost:8000"})
    True
    >>> asks_this_machine({"REMOTE_ADDR": "127.0.0.1", "HTTP_HOST": "evil.example"})
    False
    """
    return from_this_machine(env) and _is_ours(env.get("HTTP_HOST", "localhost"))


def _is_ours(host: str) -> bool:
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    if name == "localhost" or name.endswith(".localhost") or name == socket.gethostname():
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
