"""What values are made of."""

from __future__ import annotations

import dataclasses
import functools
import types
from collections import deque
from collections.abc import Hashable, Iterator
from itertools import islice
from typing import Any, cast

import msgspec

MOST_NODES = 1_000

Parts = tuple[list[Any], int, bool]
"""The first parts, how many there are in all, and whether they have names.

A named part is ``(name, value)``, or ``(name, value, name in the class)``.
"""


def has_parts(value: object) -> bool:
    """Return whether a value may have named fields in it.

    >>> has_parts([{"v": 1}]), has_parts("v")
    (True, False)
    """
    return not isinstance(value, str | int | float | None) and parts(value) is not None


def parts(value: object) -> Parts | None:
    """Return what a container holds, or None when the value is no container.

    >>> parts({"v": 1}), parts([1, 2]), parts(1)
    (([('v', 1)], 1, True), ([1, 2], 2, False), None)
    """
    if isinstance(value, dict | types.MappingProxyType):
        return list(islice(value.items(), MOST_NODES)), len(value), True
    if isinstance(value, type):
        return None
    names = _field_names(cast(Hashable, type(value)))
    if names is not None:
        fields = [
            (shown, field, name)
            for name, shown in names
            if (field := getattr(value, name, msgspec.UNSET)) is not msgspec.UNSET
        ]
        return fields, len(fields), True
    if isinstance(value, list | tuple | set | frozenset | deque):
        return list(islice(value, MOST_NODES)), len(value), False
    return None


@functools.lru_cache(maxsize=512)
def _field_names(kind: Any) -> tuple[tuple[str, str], ...] | None:
    return next(_named_fields(kind), None)


def _named_fields(kind: type) -> Iterator[tuple[tuple[str, str], ...]]:
    if issubclass(kind, msgspec.Struct):
        yield tuple(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    elif dataclasses.is_dataclass(kind):
        yield tuple((f.name, f.name) for f in dataclasses.fields(kind) if f.repr)
    elif issubclass(kind, tuple) and hasattr(kind, "_fields"):
        yield tuple((name, name) for name in kind._fields)
    elif hasattr(kind, "__attrs_attrs__"):
        yield tuple((f.name, f.name) for f in kind.__attrs_attrs__ if f.repr is not False)
