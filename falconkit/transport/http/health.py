"""What a platform asks of a process: is it alive, is it ready. Neither logged nor counted."""

from __future__ import annotations

from collections.abc import Callable

import falcon


class Live:
    """Answers 200 as long as the process can answer at all."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Say so."""
        _say(resp, 200, "live")

    on_head = on_get


class Ready:
    """Answers 200 while the process takes requests, 503 when it is about to end.

    Args:
        draining: Tells whether it is.
    """

    def __init__(self, draining: Callable[[], bool]) -> None:
        self._draining = draining

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Say which."""
        if self._draining():
            _say(resp, 503, "draining")
        else:
            _say(resp, 200, "ready")

    on_head = on_get


def _say(resp: falcon.Response, status: int, word: str) -> None:
    resp.status = status
    resp.content_type = "text/plain; charset=utf-8"
    resp.cache_control = ("no-store",)
    resp.data = word.encode()
