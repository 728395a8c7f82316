"""Which endpoints an endpoint calls: found in what it refers to, and none of them is called."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)
from typing import Any, Final

from falconkit.sd import Balancer

_MOST: Final = 50_000
"""Objects that are looked at, lest a service that holds its data in memory is searched for ever."""

_MANY: Final = 1_000
"""Members of one collection that are looked at."""

_PLAIN: Final = (str, bytes, int, float, complex, type, ModuleType, BuiltinFunctionType, CodeType)


def layered(roots: Iterable[Callable[..., Any]]) -> Iterator[Callable[..., Any]]:
    """Yield every endpoint with a layer around it that ``roots`` refer to, themselves included.

    A function refers to what is in its closure, its defaults and the globals that it
    names; an object to its attributes, a collection to its members. A client that is
    made only at the first call is not there yet, and is not found.

    >>> from falconkit import Context, chain, layers, named, nop
    >>> from falconkit.retry import retry
    >>> ask = retry()(named("ask")(nop))
    >>> def answer(ctx: Context, request: object) -> object:
    ...     return ask(ctx, request)
    >>> [(name, len(layers(each))) for each in layered([answer]) for name in ["ask"]]
    [('ask', 1)]
    """
    waiting: deque[Any] = deque(roots)
    # By identity, and kept, so that no other object can have the same.
    seen: dict[int, Any] = {}
    while waiting and len(seen) < _MOST:
        each = waiting.popleft()
        if id(each) in seen or each is None or isinstance(each, _PLAIN):
            continue
        seen[id(each)] = each
        if callable(each) and "__layer__" in _attributes(each):
            yield each
        waiting.extend(_referred(each))


def _referred(each: Any) -> Iterator[Any]:
    if isinstance(each, FunctionType):
        yield from _of_function(each)
    elif isinstance(each, MethodType):
        yield from (each.__self__, each.__func__)
    elif isinstance(each, Balancer):
        # Its members come later: how each of them is called, it shows by one of nobody.
        yield None if each.specimen is None else each.specimen()
    elif isinstance(each, functools.partial):
        yield from (each.func, *each.args, *each.keywords.values())
    elif isinstance(each, dict):
        yield from islice(each.values(), _MANY)
    elif isinstance(each, (list, tuple, set, frozenset)):
        yield from islice(each, _MANY)
    yield from list(_attributes(each).values())
    yield from _slots(each)


def _of_function(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # not filled yet
            continue
    yield from function.__defaults__ or ()
    yield from (function.__kwdefaults__ or {}).values()
    for name in _names(function.__code__):
        yield function.__globals__.get(name)


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for const in code.co_consts:
        if isinstance(const, CodeType):
            yield from _names(const)


def _attributes(each: Any) -> dict[str, Any]:
    # Not by getattr: a property would run.
    try:
        found = object.__getattribute__(each, "__dict__")
    except AttributeError:
        return {}
    return found if isinstance(found, dict) else {}


def _slots(each: Any) -> Iterator[Any]:
    for kind in type(each).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            member = kind.__dict__.get(name)
            if isinstance(member, MemberDescriptorType):
                try:
                    yield member.__get__(each)
                except AttributeError:  # not set
                    continue
