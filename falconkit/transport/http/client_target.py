"""A client's URL, taken apart once and filled at each call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote, urlencode, urlsplit

from falconkit.errors import ConfigurationError
from falconkit.transport.http.client_pool import Origin

_PLACEHOLDER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_PATH = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*\Z")
_PORTS = {"http": 80, "https": 443}


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
