"""Path and query parameters as fields of a typed request."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any

import falcon
import msgspec

from falconkit.transport.http.invalid import invalid

_MANY = (list, tuple, set, frozenset)


def fields_of(kind: Any) -> dict[str, Any] | None:
    """Return a type's fields, by the names they have on the wire; None when it has none.

    >>> class Page(msgspec.Struct, rename="camel"):
    ...     page_size: int = 10
    >>> fields_of(Page), fields_of(int)
    ({'pageSize': <class 'int'>}, None)
    """
    origin = typing.get_origin(kind) or kind
    if not isinstance(origin, type):
        return None
    if issubclass(origin, msgspec.Struct):
        return {each.encode_name: each.type for each in msgspec.structs.fields(kind)}
    if dataclasses.is_dataclass(origin) or typing.is_typeddict(origin):
        return typing.get_type_hints(origin, include_extras=True)
    return None


def reader(kind: Any) -> Callable[[Mapping[str, Any], str], dict[str, Any]]:
    """Return what reads path and query parameters into fields of ``kind``.

    Texts are converted leniently, since a URL has nothing else: ``"5"`` is an
    int, ``"true"`` a bool. A name given twice is a list where the field is
    one, else the last counts. Names that are not fields are left out.
    """
    known = fields_of(kind) or {}
    many = {name for name, each in known.items() if _is_many(each)}

    def read(path: Mapping[str, Any], query: str) -> dict[str, Any]:
        given: dict[str, Any] = dict(falcon.uri.parse_query_string(query, keep_blank=True))
        found = {name: value for name, value in (given | dict(path)).items() if name in known}
        for name, value in found.items():
            if name in many:
                value = value if isinstance(value, list) else [value]
            elif isinstance(value, list):
                value = value[-1]
            found[name] = _plain(value, known[name], name)
        return found

    return read


def single(kind: Any) -> Callable[[Any, str], Any]:
    """Return what converts one parameter, for a request that is no object."""
    return lambda value, name: _converted(value, kind, name)


def _plain(value: Any, kind: Any, name: str) -> Any:
    # Back to plain values, since it is converted once more with the rest of
    # the request, and strictly then.
    return msgspec.to_builtins(_converted(value, kind, name))


def _converted(value: Any, kind: Any, name: str) -> Any:
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError as ex:
        raise invalid(ex, under=f"$.{name}") from ex


def _is_many(kind: Any) -> bool:
    choices = typing.get_args(kind) if typing.get_origin(kind) not in _MANY else (kind,)
    return any((typing.get_origin(each) or each) in _MANY for each in (kind, *choices))
