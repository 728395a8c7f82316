"""Odd values, errors and endpoints that a middleware may meet."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from falconkit.context import Context
from falconkit.naming import named


class Hostile:
    """A value of which nothing can be had but its identity."""

    def _refuse(self, *_: object) -> Any:
        raise RuntimeError("this value can only be passed on")

    __repr__ = __str__ = __bool__ = __eq__ = __len__ = __iter__ = _refuse
    __hash__ = None  # type: ignore[assignment]


class Unprintable(Exception):
    """An error whose text cannot be had."""

    def __str__(self) -> str:
        raise RuntimeError("this error has no text")

    __repr__ = __str__


class Fatal(BaseException):
    """As a server's own ``WorkerExit``."""


class _Service:
    def answer(self, ctx: Context, request: Any, /) -> str:
        return "answer"

    def __call__(self, ctx: Context, request: Any, /) -> str:
        return "answer"


def kinds_of_endpoint() -> Iterator[tuple[Callable[[Context, Any], Any], str]]:
    """Yield an endpoint of every kind, with its name; each answers ``"answer"``."""

    def function(ctx: Context, request: Any, /) -> str:
        return "answer"

    def configured(extra: int, ctx: Context, request: Any, /) -> str:
        return "answer"

    yield function, "function"
    yield lambda ctx, request: "answer", "<lambda>"
    yield _Service().answer, "answer"
    yield _Service(), "_Service"
    yield functools.partial(configured, 1), "configured"
    yield named("renamed")(function), "renamed"
