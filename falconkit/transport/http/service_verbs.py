"""``counter.post(path)`` and its like: each makes an endpoint of a service that is called."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

from falconkit.endpoint import Endpoint
from falconkit.transport.http.client import After, Before, Decode, Encode, Finalizer

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Res = TypeVar("Res", default=Any)
else:
    from typing import TypeVar

    Res = TypeVar("Res")


class CallOptions(TypedDict, total=False):
    """What an endpoint of a service can be told beside method, path and the answer's type.

    Attributes:
        encode: Makes the request, instead of the plain way.
        decode: Reads the answer, instead of JSON into ``returns``.
        before: Each may change the request, the last thing before it is sent.
        after: Each sees the whole answer before it is decoded.
        finalizers: Each sees how one try has ended.
        timeout: Seconds for one try.
        name: The endpoint's name; the service's, method and path when left out.
        idempotent: Whether a call that may have run may run again; when left out the
            method says it.
        max_answer: Bytes of an answer's body that are taken.
        send_ids: False for a service of somebody else's.
    """

    encode: Encode[Any]
    decode: Decode[Any]
    before: Sequence[Before]
    after: Sequence[After]
    finalizers: Sequence[Finalizer]
    timeout: float
    name: str
    idempotent: bool
    max_answer: int
    send_ids: bool


class Calls:
    """A method for each HTTP method, all by `endpoint`."""

    @abstractmethod
    def endpoint(
        self,
        method: str,
        path: str,
        *,
        returns: type[Res] | None = None,
        **options: Unpack[CallOptions],
    ) -> Endpoint[Any, Res]:
        """Return an endpoint of the service."""

    def get(
        self, path: str, *, returns: type[Res] | None = None, **options: Unpack[CallOptions]
    ) -> Endpoint[Any, Res]:
        """Return the endpoint ``GET path``: see `endpoint`."""
        return self.endpoint("GET", path, returns=returns, **options)

    def post(
        self, path: str, *, returns: type[Res] | None = None, **options: Unpack[CallOptions]
    ) -> Endpoint[Any, Res]:
        """Return the endpoint ``POST path``: see `endpoint`."""
        return self.endpoint("POST", path, returns=returns, **options)

    def put(
        self, path: str, *, returns: type[Res] | None = None, **options: Unpack[CallOptions]
    ) -> Endpoint[Any, Res]:
        """Return the endpoint ``PUT path``: see `endpoint`."""
        return self.endpoint("PUT", path, returns=returns, **options)

    def patch(
        self, path: str, *, returns: type[Res] | None = None, **options: Unpack[CallOptions]
    ) -> Endpoint[Any, Res]:
        """Return the endpoint ``PATCH path``: see `endpoint`."""
        return self.endpoint("PATCH", path, returns=returns, **options)

    def delete(
        self, path: str, *, returns: type[Res] | None = None, **options: Unpack[CallOptions]
    ) -> Endpoint[Any, Res]:
        """Return the endpoint ``DELETE path``: see `endpoint`."""
        return self.endpoint("DELETE", path, returns=returns, **options)
