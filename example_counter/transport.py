"""The wire: ``{"v": 1}`` in, ``{"v": 1}`` out, and which path it is."""

from typing import Annotated

from msgspec import Meta, Struct

from example_counter.service import HIGH, LOW
from falconkit import Context, Endpoint, Middleware
from falconkit.transport import http


class Amount(Struct):
    """The one JSON shape of this service."""

    v: Annotated[int, Meta(ge=LOW, le=HIGH)]


_decode, _encode = http.json_decoder(Amount), http.json_encoder()


def decode_add(ctx: Context, request: http.Request) -> int:
    """Turn a request into the integer to add."""
    return _decode(ctx, request).v


def encode_add(ctx: Context, total: int) -> bytes:
    """Turn a total into a response."""
    return _encode(ctx, Amount(total))


def bind(app: http.App, add: Endpoint[int, int], chain: Middleware) -> None:
    """Serve the endpoint on ``POST /add``."""
    app.post("/add", add, chain, decode=decode_add, encode=encode_add)
