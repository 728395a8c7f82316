"""What a client endpoint sends and gets: requests into bytes, answers into types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import msgspec

from falconkit.context import Context
from falconkit.errors import ConfigurationError
from falconkit.transport.http.client_target import Target

T = TypeVar("T")

_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})
_JSON = "application/json"


class Headers(MutableMapping[str, str]):
    """Headers to send; ``content-type`` and ``Content-Type`` are one name.

    >>> headers = Headers({"content-type": "text/plain"})
    >>> headers["Content-Type"] = "application/json"
    >>> dict(headers)
    {'Content-Type': 'application/json'}
    """

    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = {name.title(): value for name, value in fields.items()}

    def __getitem__(self, name: str) -> str:
        return self._fields[name.title()]

    def __setitem__(self, name: str, value: str) -> None:
        self._fields[name.title()] = value

    def __delitem__(self, name: str) -> None:
        del self._fields[name.title()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"Headers({', '.join(self._fields)})"


@dataclass(slots=True)
class Outgoing:
    """One request on its way out: an ``encode`` makes it, a ``before`` may change it.

    Attributes:
        body: The bytes to send.
        headers: What to send with them.
        path: Values for the ``{names}`` of the client's URL.
        query: What follows ``?``; None is left out, a list is repeated.
        method: Set by the client before it asks any ``before``.
        target: Path and query as they are sent; set by the client.
    """

    body: bytes = b""
    headers: MutableMapping[str, str] = field(default_factory=dict)
    path: Mapping[str, object] = field(default_factory=dict)
    query: Mapping[str, object] = field(default_factory=dict)
    method: str = ""
    target: str = ""


class Incoming(NamedTuple):
    """One whole answer.

    Attributes:
        status: Its status.
        headers: Its headers; names in any case.
        body: Its bytes.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(slots=True)
class Exchange:
    """What became of one call, for its finalizers.

    Attributes:
        status: The answer's status, None when none came.
        size: Bytes of the answer's body.
        elapsed: Seconds from the call to its end.
        error: What the call raised, None when it worked.
    """

    status: int | None = None
    size: int = 0
    elapsed: float = 0.0
    error: BaseException | None = None


def json_encode(method: str, target: Target) -> Callable[[Context, Any], Outgoing]:
    """Return the encoder of the plain case: names of the path first, the rest as JSON or query.

    Fields that the URL names go there. What is left is a JSON body, or for a
    method without one (GET, HEAD, DELETE, OPTIONS) the query. A request that has no
    fields, an ``int`` say, fills the one name of the path, or is the body.
    """
    encode = msgspec.json.Encoder().encode
    bodiless = method in _WITHOUT_BODY
    names = target.names

    def plain(ctx: Context, request: Any) -> Outgoing:
        return Outgoing(encode(request), {"Content-Type": _JSON})

    def by_fields(ctx: Context, request: Any) -> Outgoing:
        fields = {} if request is None else msgspec.to_builtins(request)
        if not isinstance(fields, dict):
            if len(names) != 1:
                raise TypeError(
                    f"a {type(request).__name__} has no fields for {list(names) or 'the query'}: "
                    "give an encode="
                )
            return Outgoing(path={names[0]: fields})
        path = {name: fields.pop(name, None) for name in names}
        if bodiless:
            return Outgoing(path=path, query=fields)
        return Outgoing(encode(fields), {"Content-Type": _JSON}, path)

    return by_fields if bodiless or names else plain


def json_decode(returns: type[T] | None) -> Callable[[Context, Incoming], T]:
    """Return the decoder of the plain case: JSON into ``returns``, an empty answer into None."""
    try:
        decode = msgspec.json.Decoder(Any if returns is None else returns).decode
    except TypeError as error:
        raise ConfigurationError(
            f"an answer of type {returns!r} cannot be decoded ({error}): give a decode="
        ) from error

    def typed(ctx: Context, incoming: Incoming) -> Any:
        if not incoming.body and (returns is None or incoming.status == 204):
            return None
        return decode(incoming.body)

    return typed
