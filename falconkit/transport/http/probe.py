"""Ask an instance whether it is ready: the probe for `falconkit.sd.checked`."""

from __future__ import annotations

from falconkit.context import Context
from falconkit.sd.instance import Instance
from falconkit.transport.http.client import Client
from falconkit.transport.http.client_wire import Incoming


class ReadyProbe:
    """Asks ``/health/ready`` of an instance; any status but 2xx raises, and so does silence.

    >>> ReadyProbe(path="/ping")
    ReadyProbe('/ping')

    Args:
        path: What is asked.
        scheme: ``http`` or ``https``.
        timeout: Seconds for the whole of it.

    Raises:
        ConfigurationError: A value cannot be used.
    """

    def __init__(
        self, *, path: str = "/health/ready", scheme: str = "http", timeout: float = 2.0
    ) -> None:
        self._path, self._scheme, self._timeout = path, scheme, timeout
        self._client("host:80").close()  # refuses now what cannot be used

    def __call__(self, instance: Instance, /) -> None:
        """Ask; raise what a call to it would raise."""
        # A connection of its own each time: whether it can be had is part of the question.
        client = self._client(instance.address)
        try:
            client(Context(), None)
        finally:
            client.close()

    def _client(self, address: str) -> Client[None, None]:
        return Client(
            "GET",
            f"{self._scheme}://{address}{self._path}",
            decode=_nothing,
            timeout=self._timeout,
            max_answer=64 * 1024,
        )

    def __repr__(self) -> str:
        return f"ReadyProbe({self._path!r})"


def _nothing(ctx: Context, incoming: Incoming) -> None:
    """Whatever it says, it is well."""
