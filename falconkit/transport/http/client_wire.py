"""What a client endpoint sends and gets: requests into bytes, answers into types."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from falconkit.context import Context
from falconkit.errors import ConfigurationError
from falconkit.transport.http.client_pool import Origin

T = TypeVar("T")

_WITHOUT_BODY = frozenset({"GET", "HEAD", "DELETE", "OPTIONS", "TRACE"})
_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PATH = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*\Z")
_JSON = "application/json"
_PORTS = {"http": 80, "https": 443}


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


class Target:
    """A URL with ``{names}`` in its path, taken apart once.

    >>> target = Target("http://users:8000/users/{id}")
    >>> target.fill({"id": "a/b"}, {"limit": 3})
    '/users/a%2Fb?limit=3'

    Raises:
        ConfigurationError: It is no http or https URL, or has what a client cannot send.
    """

    __slots__ = ("_bare", "_literals", "_query", "names", "origin")

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            port = _PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
        except ValueError as error:
            raise ConfigurationError(f"the URL {url!r} cannot be read: {error}") from error
        if parts.scheme not in _PORTS or not parts.hostname or not port:
            raise ConfigurationError(
                f"a client's URL is http://host:port/path or https://..., got {url!r}"
            )
        if parts.username is not None or parts.fragment:
            raise ConfigurationError(
                f"the URL of {parts.hostname!r} has credentials or a fragment: "
                "send credentials in a header, by before="
            )
        try:
            parts.hostname.encode("idna")
        except UnicodeError as error:
            raise ConfigurationError(f"{parts.hostname!r} is no host name: {error}") from error
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        self.origin = Origin(parts.scheme, host, port)
        # Literal, name, literal, name, ..., literal.
        pieces = _PLACEHOLDER.split(parts.path or "/")
        self._literals = tuple(pieces[0::2])
        self.names = tuple(pieces[1::2])
        self._query = parts.query
        self._bare = f"{self._literals[0]}?{parts.query}" if parts.query else self._literals[0]
        if not all(_PATH.match(piece) for piece in (*self._literals, self._query.replace("?", ""))):
            raise ConfigurationError(
                f"the URL {url!r} has characters that must be percent-encoded; "
                "{names} stand in the path only"
            )
        if len(set(self.names)) < len(self.names):
            raise ConfigurationError(f"the URL {url!r} has a name twice")

    def fill(self, path: Mapping[str, object], query: Mapping[str, object]) -> str:
        """Return path and query as they are sent.

        Raises:
            TypeError: The path needs a value that is not there, or the query
                holds an object.
            ValueError: A value would make another path: it is empty, ``.`` or ``..``.
        """
        if not self.names and not query:
            return self._bare
        target = self._literals[0]
        for name, literal in zip(self.names, self._literals[1:], strict=True):
            target += _segment(name, path.get(name)) + literal
        asked = "&".join(part for part in (self._query, _query(query)) if part)
        return f"{target}?{asked}" if asked else target


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


def _segment(name: str, value: object) -> str:
    text = _text(value)
    if text is None:
        raise TypeError(f"the path needs a value for {{{name}}}, got {value!r}")
    if text in ("", ".", ".."):
        raise ValueError(f"the path's {{{name}}} cannot be {text!r}: it would name another path")
    return quote(text, safe="")


def _query(query: Mapping[str, object]) -> str:
    pairs: list[tuple[str, str]] = []
    for name, value in query.items():
        for each in value if isinstance(value, list | tuple) else (value,):
            if each is None:
                continue
            text = _text(each)
            if text is None:
                raise TypeError(f"the query's {name!r} cannot be {each!r}: give an encode=")
            pairs.append((name, text))
    return urlencode(pairs, quote_via=quote) if pairs else ""


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    return None
