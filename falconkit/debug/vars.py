"""``/debug/vars``: the numbers of the app as one JSON object, as Go's expvar shows them."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any, Final

import falcon
import msgspec

from falconkit.errors import Forbidden

_PROXIED: Final = ("HTTP_X_FORWARDED_FOR", "HTTP_FORWARDED", "HTTP_X_REAL_IP")


class Vars:
    """A Falcon resource that shows what ``read`` returns.

    Args:
        read: Returns the numbers by name.
        everybody: Whether all may read them; this machine only when False.
    """

    def __init__(self, read: Callable[[], Mapping[str, Any]], *, everybody: bool = False) -> None:
        self._read = read
        self._everybody = everybody

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show them.

        Raises:
            Forbidden: They are not for everybody, and somebody else asks.
        """
        if not self._everybody and not from_this_machine(req.env):
            raise Forbidden("this page is for this machine only; DEBUG_VARS=open opens it to all")
        resp.content_type = "application/json; charset=utf-8"
        resp.cache_control = ("no-store",)
        shown = msgspec.json.encode(self._read())
        resp.data = msgspec.json.format(shown, indent=1) + b"\n"

    on_head = on_get


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
