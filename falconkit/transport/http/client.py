"""A service that is called over HTTP, as an endpoint.

Redirects are not followed and nothing is tried twice: that is a middleware's
work, around the client. What a failed call raises is told in `client_failures`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from logging import getLogger
from typing import TYPE_CHECKING, Any, Generic

import msgspec
from urllib3 import Retry, Timeout
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse

import falconkit
from falconkit.clock import Clock, system_clock
from falconkit.context import ATTEMPT, IDEMPOTENT_METHODS, Context
from falconkit.errors import ConfigurationError, DeadlineExceeded, DecodeError
from falconkit.events import BackendFailed
from falconkit.naming import named
from falconkit.tracing import headers as trace_headers
from falconkit.transport.http.client_failures import Failures
from falconkit.transport.http.client_pool import Pool
from falconkit.transport.http.client_target import Target
from falconkit.transport.http.client_wire import (
    Exchange,
    Headers,
    Incoming,
    Outgoing,
    json_decode,
    json_encode,
)
from falconkit.transport.http.hop import ATTEMPT_HEADER, LONGEST, TIMEOUT

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Req = TypeVar("Req", default=Any)
    Res = TypeVar("Res", default=Any)
else:
    from typing import TypeVar

    Req = TypeVar("Req")
    Res = TypeVar("Res")

REQUEST_ID = "X-Request-ID"
"""The header that names the request in every log of every service."""

_ONCE = Retry(total=False, redirect=False)


Encode = Callable[[Context, Req], Outgoing]
Decode = Callable[[Context, Incoming], Res]
Before = Callable[[Context, Outgoing], None]
After = Callable[[Context, Incoming], None]
Finalizer = Callable[[Context, Exchange], None]


class Client(Generic[Req, Res]):
    """An endpoint that asks another service; every middleware serves it as it serves ours.

    Opens nothing until its first call, then keeps connections alive in its pool.
    Threads share it. The request id goes on in ``X-Request-ID``; how long the
    answer will be waited for goes on in ``X-Request-Timeout-Ms``, which try
    this is, from the second on, in ``X-Request-Attempt``, and the trace in the
    headers of ``ctx.span``.

    >>> client = Client("GET", "http://users:8000/users/{id}", returns=dict, timeout=2.0)
    >>> client
    Client('GET', 'http://users:8000/users/{id}')
    >>> falconkit.name_of(client), client.service, client.idempotent
    ('get_users_id', 'users', True)
    >>> client.close()

    Args:
        method: The HTTP method.
        url: Where, as in ``http://users:8000/users/{id}``: fields of the
            request fill the names.
        returns: The type of the answer's JSON; None takes any JSON.
        encode: Makes the `Outgoing` request, instead of the plain way:
            fields into the path, the rest into JSON, or the query of GET,
            HEAD, DELETE, OPTIONS.
        decode: Reads the `Incoming` answer of a 2xx status, instead of JSON into ``returns``.
        before: Each may change the `Outgoing` request, the last thing before it is sent.
        after: Each sees the whole answer, of any status, before it is decoded.
        finalizers: Each sees the `Exchange` when the call has ended, however it ended.
        timeout: Seconds for the whole call, connecting and the last byte of
            the answer included; less when ``ctx.deadline`` is sooner.
        pool: Connections shared with other clients, closed by who made it.
            Without one the client has its own, closed by `close`.
        name: The endpoint's name; without one method and path make it.
        service: The service's name in errors; without one the host's.
        max_answer: Bytes of an answer's body that are taken.
        idempotent: Whether a call that may have run may run again; without it
            the method decides (RFC 9110, 9.2.2).
        send_ids: False for a service of somebody else's, which is to learn neither our
            request ids nor our deadlines, nor our traces.
        clock: Whose seconds ``ctx.deadline`` is in.

    Raises:
        ConfigurationError: Something of this cannot work.
    """

    def __init__(
        self,
        method: str,
        url: str,
        *,
        returns: type[Res] | None = None,
        encode: Encode[Req] | None = None,
        decode: Decode[Res] | None = None,
        before: Sequence[Before] = (),
        after: Sequence[After] = (),
        finalizers: Sequence[Finalizer] = (),
        timeout: float = 10.0,
        pool: Pool | None = None,
        name: str | None = None,
        service: str | None = None,
        max_answer: int = 8 * 1024 * 1024,
        idempotent: bool | None = None,
        send_ids: bool = True,
        clock: Clock = system_clock,
    ) -> None:
        _check(method, timeout, max_answer, returns is not None and decode is not None)
        self._target = target = Target(url)
        self.method = method
        self.url = url
        self.service = service or target.origin.host
        self.idempotent = method in IDEMPOTENT_METHODS if idempotent is None else idempotent
        self.__endpoint__ = name or _name(method, url)
        named(self.__endpoint__)  # refuses what cannot be a name
        self._failures = Failures(self.service, str(target.origin), idempotent=self.idempotent)
        # PERF: 2 us less a call; no code but ours names headers then, in one spelling each.
        self._plain = encode is None and not before
        self._encode: Encode[Req] = encode or json_encode(method, target)
        self._decode: Decode[Res] = decode or json_decode(returns)
        self._before, self._after = tuple(before), tuple(after)
        self._finalizers = tuple(finalizers)
        self._timeout = timeout
        self._pool = pool or Pool()
        self._owns_pool = pool is None
        self._max_answer = max_answer
        self._send_ids = send_ids
        self._clock = clock
        # Asks for problem+json too, so that an error's code tells what its status leaves open.
        self._headers = {
            "Accept": "application/json, application/problem+json",
            "User-Agent": f"falconkit/{falconkit.__version__}",
        }

    def __call__(self, ctx: Context, request: Req, /) -> Res:
        """Ask, and return the decoded answer; what it raises is in `client_failures`."""
        exchange = Exchange()
        if not self._finalizers:
            return self._run(ctx, request, exchange)
        started = self._clock.monotonic()
        try:
            return self._run(ctx, request, exchange)
        except BaseException as error:
            exchange.error = error
            raise
        finally:
            exchange.elapsed = self._clock.monotonic() - started
            for finalizer in self._finalizers:
                self._finish(finalizer, ctx, exchange)

    def _run(self, ctx: Context, request: Req, exchange: Exchange) -> Res:
        outgoing = self._encode(ctx, request)
        outgoing.method = self.method
        outgoing.target = self._target.fill(outgoing.path, outgoing.query)
        headers = {**self._headers, **outgoing.headers}
        outgoing.headers = headers if self._plain else Headers(headers)
        left = self._time_left(ctx)
        if self._send_ids:
            if ctx.request_id:
                outgoing.headers[REQUEST_ID] = ctx.request_id
            outgoing.headers[TIMEOUT] = str(max(1, int(left * 1000)))
            attempt = ctx.get(ATTEMPT)
            if attempt is not None:
                outgoing.headers[ATTEMPT_HEADER] = str(attempt)
            outgoing.headers.update(trace_headers(ctx))
        for before in self._before:
            before(ctx, outgoing)
        incoming = self._ask(outgoing, left, exchange)
        for after in self._after:
            after(ctx, incoming)
        return self._read(ctx, incoming)

    def _time_left(self, ctx: Context) -> float:
        if ctx.deadline is None:
            return self._timeout
        left = min(self._timeout, ctx.deadline - self._clock.monotonic())
        if left <= 0:
            raise DeadlineExceeded(f"deadline exceeded: {self.service} was not asked")
        return left

    def _ask(self, outgoing: Outgoing, left: float, exchange: Exchange) -> Incoming:
        try:
            response = self._pool.at(self._target.origin).urlopen(
                outgoing.method,
                outgoing.target,
                body=outgoing.body or None,
                headers=outgoing.headers if self._plain else dict(outgoing.headers),
                retries=_ONCE,
                redirect=False,
                assert_same_host=False,
                timeout=Timeout(total=left),
                preload_content=False,
                decode_content=False,
            )
            exchange.status = response.status
            body = self._body_of(response)
        except HTTPError as error:
            failure = self._failures.lost(error, left)
            raise failure from failure.__cause__
        exchange.size = len(body)
        return Incoming(response.status, response.headers, body)

    def _body_of(self, response: BaseHTTPResponse) -> bytes:
        left = self._max_answer + 1
        expected = response.length_remaining
        # One number: of two the parser beneath takes neither, and reads to the end.
        if expected and expected < left and response.headers["Content-Length"].isdigit():
            return response.read()  # PERF: 6 us less than piece by piece
        pieces: list[bytes] = []
        if (expected or 0) < left:
            # The last, empty read is what finds an answer that is too short, and
            # gives the connection back to its pool.
            while left > 0 and (piece := response.read(left)):
                pieces.append(piece)
                left -= len(piece)
            if left > 0:
                return pieces[0] if len(pieces) == 1 else b"".join(pieces)
        # The rest is still on its way: the connection is of no more use.
        response.close()
        raise self._failures.failed(
            f"{self.service} answered {response.status} with more than {self._max_answer} bytes",
            response.status,
        )

    def _read(self, ctx: Context, incoming: Incoming) -> Res:
        status = incoming.status
        if not 200 <= status < 300:
            raise self._failures.answered(incoming)
        try:
            return self._decode(ctx, incoming)
        except (msgspec.MsgspecError, DecodeError, ValueError, RecursionError) as error:
            raise self._failures.failed(
                f"{self.service} answered {status} with something else than expected: {error}",
                status,
            ) from error

    def _finish(self, finalizer: Finalizer, ctx: Context, exchange: Exchange) -> None:
        try:
            finalizer(ctx, exchange)
        except Exception as error:
            getLogger("falconkit.http").exception(
                "the finalizer %r of %s failed", finalizer, self.__endpoint__
            )
            ctx.events.tell(BackendFailed("finalizer", type(error).__name__))

    def close(self) -> None:
        """Close the client's own connections; a call after that raises UpstreamUnavailable."""
        if self._owns_pool:
            self._pool.close()

    def __repr__(self) -> str:
        return f"Client({self.method!r}, {self.url!r})"


def _check(method: str, timeout: float, max_answer: int, twice: bool) -> None:
    if not re.fullmatch(r"[A-Z]+", method):
        raise ConfigurationError(f"an HTTP method is a word in capitals, got {method!r}")
    if not 0 < timeout <= LONGEST:
        raise ConfigurationError(f"timeout is over 0 and up to {LONGEST:.0f} s, got {timeout!r}")
    if max_answer < 1:
        raise ConfigurationError(f"max_answer is 1 byte or more, got {max_answer!r}")
    if twice:
        raise ConfigurationError("returns= and decode= both say how to read an answer: give one")


def _name(method: str, url: str) -> str:
    path = re.sub(r"https?://[^/?]*|\?.*", "", url)
    return "_".join([method.lower(), *re.findall(r"[A-Za-z0-9]+", path)])
