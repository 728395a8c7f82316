"""Ask a service for its state: bounded, with the token in a header and nowhere else."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

import msgspec

from falconkit.clock import Clock, system_clock
from falconkit.context import Context
from falconkit.debug.state import VERSION, State
from falconkit.errors import ConfigurationError, FalconkitError
from falconkit.transport.http.client import Client
from falconkit.transport.http.client_wire import Incoming, Outgoing

PATH: Final = "/debug/state"
LARGEST: Final = 16 * 1024 * 1024
_NOT_SERVED: Final = (404, 405, 501)


class Away(Exception):
    """The service does not answer, or not with its state; the message says what to do.

    Attributes:
        refused: True when it will say so again until somebody changes something.
    """

    def __init__(self, message: str, *, refused: bool = False) -> None:
        super().__init__(message)
        self.refused = refused


class Ask:
    """Asks one service again and again.

    Redirects are not followed: the token is for whom it was given.

    >>> Ask("http://127.0.0.1:8000").url
    'http://127.0.0.1:8000/debug/state'

    Attributes:
        url: What is asked.

    Args:
        url: The service's: ``http://127.0.0.1:8000``.
        token: Its ``DEBUG_TOKEN``, "" for none.
        timeout: Seconds for a whole answer.
        clock: Whose seconds.

    Raises:
        ConfigurationError: The URL or the token cannot be used.
    """

    def __init__(
        self, url: str, token: str = "", *, timeout: float = 5.0, clock: Clock = system_clock
    ) -> None:
        self.url = _url(url)
        self._token = token
        self._status = 0
        self._client: Client[None, State] = Client(
            "GET",
            self.url,
            decode=_decoded,
            before=(self._authorize,),
            after=(self._note,),
            timeout=timeout,
            max_answer=LARGEST,
            send_ids=False,
            clock=clock,
        )

    def __call__(self) -> State:
        """Return the state as it is now.

        Raises:
            Away: It cannot be had.
        """
        self._status = 0
        try:
            state = self._client(Context(), None)
        except FalconkitError as error:
            raise self._away(error) from error
        if state.version != VERSION:
            raise Away(
                f"{self.url} tells its state in version {state.version}, and this falconkit top "
                f"reads {VERSION}: use that of falconkit {state.falconkit}",
                refused=True,
            )
        return state

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _authorize(self, ctx: Context, outgoing: Outgoing) -> None:
        if self._token:
            outgoing.headers["Authorization"] = f"Bearer {self._token}"

    def _note(self, ctx: Context, incoming: Incoming) -> None:
        self._status = incoming.status

    def _away(self, error: FalconkitError) -> Away:
        status = self._status
        if status in (401, 403):
            return Away(self._unwelcome(status), refused=True)
        if status in _NOT_SERVED:
            return Away(
                f"{self.url} answers {status}: it has no such page; a falconkit app has it with "
                "DEBUG_PAGE=local, or DEBUG_PAGE=token",
                refused=True,
            )
        if 300 <= status < 400:
            return Away(f"{error}: redirects are not followed, give that URL", refused=True)
        return Away(str(error))

    def _unwelcome(self, status: int) -> str:
        if self._token:
            return f"{self.url} answers {status}: it does not take this token, see its DEBUG_TOKEN"
        return (
            f"{self.url} answers {status}: set DEBUG_TOKEN to the service's, or give --token-file, "
            "or ask on its own machine"
        )


def _decoded(ctx: Context, incoming: Incoming) -> State:
    return msgspec.json.decode(incoming.body, type=State)


def _url(url: str) -> str:
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError(
            "the URL has credentials in it, where every `ps` shows them: give --token-file, "
            "or set DEBUG_TOKEN"
        )
    if parts.query or parts.fragment:
        raise ConfigurationError(f"the URL {url!r} has a query or a fragment: give the service's")
    path = parts.path.rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path.removesuffix(PATH)}{PATH}"
