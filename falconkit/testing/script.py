"""A scripted endpoint: what stands inside the middleware, or client, under test."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

from falconkit.context import Context

Outcome = Any
"""A value to return, an exception (class or instance) to raise, or a function of the call."""


class Script:
    """An endpoint that does what it is told, once for each call, and remembers the calls.

    An outcome that is an exception, ``BaseException`` included, is raised; one
    that is a function is called with ``(ctx, request)``; anything else is
    returned as it is. Threads may share it.

    >>> inner = Script(1, ValueError("no"), lambda ctx, request: request * 2)
    >>> inner(Context(), 10)
    1
    >>> inner(Context(), 10)
    Traceback (most recent call last):
    ValueError: no
    >>> inner(Context(), 10)
    20
    >>> inner.requests
    [10, 10, 10]
    >>> inner.done()

    Attributes:
        calls: The ``(ctx, request)`` of each call, in order.
    """

    def __init__(self, *outcomes: Outcome, name: str = "script") -> None:
        """Take the outcomes in the order they are to happen; ``name`` is the endpoint's."""
        self._lock = threading.Lock()
        self._left: deque[Outcome] = deque(outcomes)
        self._total = len(outcomes)
        self.__endpoint__ = name
        self.calls: list[tuple[Context, Any]] = []

    def __call__(self, ctx: Context, request: Any, /) -> Any:
        """Do the next outcome.

        Raises:
            AssertionError: There is none left.
        """
        with self._lock:
            self.calls.append((ctx, request))
            if not self._left:
                raise AssertionError(
                    f"{self.__endpoint__} was called {len(self.calls)} times and has "
                    f"{self._total} outcomes; the call too many had request {request!r}"
                )
            outcome = self._left.popleft()
        if isinstance(outcome, BaseException) or (
            isinstance(outcome, type) and issubclass(outcome, BaseException)
        ):
            raise outcome
        if callable(outcome):
            return outcome(ctx, request)
        return outcome

    @property
    def requests(self) -> list[Any]:
        """What it was called with, in order."""
        return [request for _, request in self.calls]

    @property
    def contexts(self) -> list[Context]:
        """The contexts it was called with, in order."""
        return [ctx for ctx, _ in self.calls]

    def done(self) -> None:
        """Check that every outcome has happened.

        Raises:
            AssertionError: Some have not.
        """
        if self._left:
            raise AssertionError(
                f"{self.__endpoint__} was called {len(self.calls)} times, "
                f"{len(self._left)} of its outcomes remain: {list(self._left)!r}"
            )
