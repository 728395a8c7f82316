"""``/debug/vars``: the numbers of the app as one JSON object, as Go's expvar shows them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import falcon
import msgspec

from falconkit.debug.door import Door


class Vars:
    """A Falcon resource that shows what ``read`` returns.

    Args:
        read: Returns the numbers by name.
        door: Who may read them; this machine only when None.
    """

    def __init__(self, read: Callable[[], Mapping[str, Any]], door: Door | None = None) -> None:
        self._read = read
        self._door = Door() if door is None else door

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show them.

        Raises:
            Forbidden: They are not for everybody, and somebody else asks.
        """
        self._door.check(req)
        resp.content_type = "application/json; charset=utf-8"
        resp.cache_control = ("no-store",)
        shown = msgspec.json.encode(self._read())
        resp.data = msgspec.json.format(shown, indent=1) + b"\n"

    on_head = on_get
