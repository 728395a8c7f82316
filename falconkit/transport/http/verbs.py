"""``app.post(path, endpoint, chain)`` and its like."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, TypedDict, Unpack

from falconkit.context import Context
from falconkit.endpoint import Middleware
from falconkit.transport.http.codec import Decode, Encode
from falconkit.transport.http.extractors import Extractor
from falconkit.transport.http.problem import EncodeError
from falconkit.transport.http.reply import Finalizer
from falconkit.transport.http.server import After

Endpoint = Callable[[Context, Any], Any]


class RouteOptions(TypedDict, total=False):
    """What a route can be given beside its endpoint and chain.

    Attributes:
        decode: Makes the request; from JSON, by annotation, when None.
        encode: Makes the reply; JSON when None.
        before: Extractors of this route, after the app's.
        after: What may change a reply that is no error.
        encode_error: Makes the reply to what was raised.
        finalizers: What is told when the body is closed.
        name: The endpoint's name, when its function's will not do.
        status: The status of a success, 200.
    """

    decode: Decode[Any] | None
    encode: Encode[Any] | None
    before: Sequence[Extractor]
    after: Sequence[After]
    encode_error: EncodeError
    finalizers: Sequence[Finalizer]
    name: str | None
    status: int


class Verbs:
    """A method for each HTTP method, all by `route`."""

    @abstractmethod
    def route(
        self,
        method: str,
        path: str,
        endpoint: Endpoint,
        chain: Middleware | None = None,
        **options: Unpack[RouteOptions],
    ) -> None:
        """Answer ``method`` on ``path`` by ``endpoint``."""

    def get(
        self,
        path: str,
        endpoint: Endpoint,
        chain: Middleware | None = None,
        **options: Unpack[RouteOptions],
    ) -> None:
        """Answer GET (and HEAD) on ``path`` by ``endpoint``: see `route`."""
        self.route("GET", path, endpoint, chain, **options)

    def post(
        self,
        path: str,
        endpoint: Endpoint,
        chain: Middleware | None = None,
        **options: Unpack[RouteOptions],
    ) -> None:
        """Answer POST on ``path`` by ``endpoint``: see `route`."""
        self.route("POST", path, endpoint, chain, **options)

    def put(
        self,
        path: str,
        endpoint: Endpoint,
        chain: Middleware | None = None,
        **options: Unpack[RouteOptions],
    ) -> None:
        """Answer PUT on ``path`` by ``endpoint``: see `route`."""
        self.route("PUT", path, endpoint, chain, **options)

    def patch(
        self,
        path: str,
        endpoint: Endpoint,
        chain: Middleware | None = None,
        **options: Unpack[RouteOptions],
    ) -> None:
        """Answer PATCH on ``path`` by ``endpoint``: see `route`."""
        self.route("PATCH", path, endpoint, chain, **options)

    def delete(
        self,
        path: str,
        endpoint: Endpoint,
        chain: Middleware | None = None,
        **options: Unpack[RouteOptions],
    ) -> None:
        """Answer DELETE on ``path`` by ``endpoint``: see `route`."""
        self.route("DELETE", path, endpoint, chain, **options)
