"""What goes back: an endpoint's `Answer`, the `Reply` made of it, and the body as it is sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import msgspec

from falconkit.clock import Clock
from falconkit.context import Context, current, keep_ids

T = TypeVar("T")

_logger = logging.getLogger("falconkit.http")

BODILESS: Final = frozenset({204, 304})
"""Statuses that never have a body (RFC 9110, 15.3.5 and 15.4.5)."""


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """A response with a status or headers of its own.

    Return it from an endpoint in place of the plain value, which is a 200.

    >>> Answer({"id": 7}, status=201, headers={"Location": "/users/7"}).status
    201

    Attributes:
        value: The response as such, which the encoder turns into bytes.
        status: From 200 to 599.
        headers: By name, or as pairs where a name is there twice.
    """

    value: T
    status: int = 200
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = ()

    def failed(self) -> Exception | None:
        """Return the failure of a value that is a `Failer`: who watches the call asks this."""
        failed = getattr(self.value, "failed", None)
        return failed() if callable(failed) else None


class Reply(msgspec.Struct, eq=False):
    """Status, headers and body, ready for the wire: what an encoder may return.

    PERF: a Struct is filled in C: 0.04 us, a plain class with slots 0.11.

    Attributes:
        status: The HTTP status.
        headers: Pairs; a list that ``after`` functions may add to.
        body: Bytes, or an iterable of bytes that is sent as it comes.
    """

    status: int
    headers: list[tuple[str, str]]
    body: bytes | Iterable[bytes]

    def __repr__(self) -> str:
        return f"Reply({self.status}, {self.headers!r}, {self.body!r})"


@dataclass(frozen=True, slots=True)
class Finished:
    """What a finalizer is told about a request that is over.

    Attributes:
        status: The status that was sent.
        sent: Bytes of the body that were handed to the server.
        elapsed: Seconds from the request's arrival to the end of its body.
    """

    status: int
    sent: int
    elapsed: float


Finalizer = Callable[[Context, Finished], None]


def check_headers(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers as a list, when they can be sent.

    Raises:
        ValueError: One has a line break or a character outside Latin-1, with
            which a caller's data could forge a header.
    """
    found = list(headers)
    for name, value in found:
        if not (name + value).isprintable() or not name.isascii():
            raise ValueError(f"the header {name!r}: {value!r} cannot be sent")
        value.encode("latin-1")
    return found


@contextmanager
def entered(ctx: Context) -> Iterator[None]:
    """Let ``ctx`` be the current context for a while."""
    token = current.set(ctx)
    try:
        yield
    finally:
        current.reset(token)


class Body:
    """A reply's body as the server sends it; when it is closed, the finalizers run.

    Each chunk is made with the request's context as the current one, so that
    what logs while a stream runs carries the request's ids.
    """

    def __init__(
        self,
        ctx: Context,
        reply: Reply,
        finalizers: Iterable[Finalizer],
        started: float,
        clock: Clock,
    ) -> None:
        self._ctx = ctx
        self._status = reply.status
        self._source = [reply.body] if isinstance(reply.body, bytes) else reply.body
        self._chunks = iter(self._source)
        self._finalizers = tuple(finalizers)
        self._started = started
        self._clock = clock
        self._sent = 0
        self._closed = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with entered(self._ctx):
            try:
                chunk = next(self._chunks)
            except StopIteration:
                raise
            except Exception as error:
                keep_ids(error, self._ctx)
                # The status has gone out, so the server can only cut the
                # connection; this line is where the cause is told.
                _logger.exception(
                    "the body of %s %s broke off after %d bytes, request id %s",
                    self._ctx.method,
                    self._ctx.path,
                    self._sent,
                    self._ctx.request_id,
                )
                raise
        self._sent += len(chunk)
        return chunk

    def close(self) -> None:
        """Close the source and run the finalizers, once."""
        if self._closed:
            return
        self._closed = True
        with entered(self._ctx):
            try:
                close = getattr(self._source, "close", None)
                if close is not None:
                    close()
            finally:
                elapsed = self._clock.monotonic() - self._started
                finish(self._finalizers, self._ctx, Finished(self._status, self._sent, elapsed))


def finish(finalizers: Iterable[Finalizer], ctx: Context, finished: Finished) -> None:
    """Run the finalizers; one that raises is logged, and the others still run."""
    for finalizer in finalizers:
        try:
            finalizer(ctx, finished)
        except Exception:
            _logger.exception("the finalizer %r failed, request id %s", finalizer, ctx.request_id)
