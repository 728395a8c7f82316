"""JSON in and out: typed decoders and encoders, each bound once for its endpoint."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar, overload

import falcon
import msgspec

from falconkit.context import Context
from falconkit.errors import ConfigurationError, DecodeError, UnsupportedMediaType
from falconkit.transport.http import params
from falconkit.transport.http.invalid import check_int_range, check_ints, check_utf8, invalid
from falconkit.transport.http.reply import Reply
from falconkit.transport.http.request import Request

Req = TypeVar("Req")
Res = TypeVar("Res")
Decode = Callable[[Context, Request], Req]
"""``(context, HTTP request) -> request``; it raises `DecodeError` for what it refuses."""
Encode = Callable[[Context, Res], bytes | Reply]
"""``(context, response) -> bytes`` of JSON, or a `Reply` with headers of its own."""

JSON: Final = "application/json"

# What clients send with JSON when nobody told them a type: curl -d says form,
# curl --data-binary and scripts say octet-stream or plain text.
_NO_OTHER_FORMAT: Final = frozenset(
    {
        "",
        JSON,
        "text/json",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/octet-stream",
        "binary/octet-stream",
    }
)
_NO_CODING: Final = frozenset({"", "identity"})
_NO_BODY: Final = frozenset({"GET", "HEAD"})


@overload
def json_decoder(kind: type[Req]) -> Decode[Req]: ...
@overload
def json_decoder(kind: Any) -> Decode[Any]: ...
def json_decoder(kind: Any) -> Decode[Any]:
    """Return a decoder of JSON bodies, and of path and query parameters, into ``kind``.

    A body is taken whatever its content type, unless that names another format
    outright. Of a name that is there twice in one object the last counts.
    Parameters of the URL are fields of the request too, and win over the body:
    first the path's, then the query's. Integers are held to 64 bits.

    Args:
        kind: A `msgspec.Struct`, a dataclass, a TypedDict, or anything else
            that msgspec decodes; None for an endpoint that takes nothing;
            `Request` for one that reads the HTTP request itself.

    Raises:
        ConfigurationError: msgspec cannot decode into ``kind``.
    """
    if kind is None or kind is type(None):
        return lambda ctx, request: None
    if isinstance(kind, type) and issubclass(kind, falcon.Request):
        return lambda ctx, request: request
    try:
        decode = msgspec.json.Decoder(kind).decode
        if isinstance(msgspec.inspect.type_info(kind), msgspec.inspect.CustomType):
            raise TypeError("msgspec does not know it")
    except TypeError as ex:
        raise ConfigurationError(
            f"a request of type {kind!r} cannot be decoded ({ex}): give decode="
        ) from None
    merge = _merger(kind)

    def decode_json(ctx: Context, request: Request) -> Any:
        env = request.env
        if request.path_params or env.get("QUERY_STRING") or env["REQUEST_METHOD"] in _NO_BODY:
            return merge(request)
        if env.get("CONTENT_TYPE", JSON) != JSON or "HTTP_CONTENT_ENCODING" in env:
            check_format(env)
        body = request.read_body()
        if not body.isascii():
            check_utf8(body)
        try:
            value = decode(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as ex:
            raise _refusal(body, ex) from ex
        return value if len(body) < 19 else check_int_range(body, value)

    return decode_json


def json_encoder(
    enc_hook: Callable[[Any], Any] | None = None,
) -> Callable[[Context, Any], bytes]:
    """Return an encoder to JSON; NaN and infinities become null, which JSON has.

    >>> json_encoder()(Context(), {"v": 1})
    b'{"v":1}'

    Args:
        enc_hook: Turns what msgspec does not know into something that it does.
    """
    encode = msgspec.json.Encoder(enc_hook=enc_hook).encode
    return lambda ctx, response: encode(response)


def check_format(env: Mapping[str, Any]) -> None:
    """Refuse a body that says outright that it is something else than JSON.

    Raises:
        UnsupportedMediaType: By its content type or its content coding.
    """
    named = env.get("CONTENT_TYPE", JSON)
    if named != JSON:
        kind = named.partition(";")[0].strip().lower()
        if kind not in _NO_OTHER_FORMAT and not kind.endswith("+json"):
            raise UnsupportedMediaType(f"expected {JSON}, got {_shown(kind)}")
    if env.get("HTTP_CONTENT_ENCODING", "").strip().lower() not in _NO_CODING:
        coding = _shown(env["HTTP_CONTENT_ENCODING"])
        raise UnsupportedMediaType(f"expected a body without a content coding, got {coding}")


def _merger(kind: Any) -> Callable[[Request], Any]:
    read = params.reader(kind)
    one = params.single(kind)
    has_fields = params.fields_of(kind) is not None
    decode_plain = msgspec.json.Decoder().decode

    def body_of(request: Request) -> Any:
        if request.env["REQUEST_METHOD"] in _NO_BODY:
            return {}
        check_format(request.env)
        body = request.read_body()
        if not body:
            return {}
        check_utf8(body)
        try:
            return decode_plain(body)
        except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as ex:
            raise _refusal(body, ex) from ex

    def merge(request: Request) -> Any:
        query = request.env.get("QUERY_STRING", "")
        if not has_fields and len(request.path_params) == 1 and not request.has_body():
            ((name, text),) = request.path_params.items()
            return check_ints(one(text, name))
        given = body_of(request)
        if isinstance(given, dict):
            given = given | read(request.path_params, query)
        try:
            return check_ints(msgspec.convert(given, kind))
        except (msgspec.ValidationError, RecursionError) as ex:
            raise invalid(ex) from ex

    return merge


def _refusal(body: bytes, error: Exception) -> Exception:
    return invalid(error) if body.strip() else DecodeError(f"the body is empty, expected {JSON}")


def _shown(text: str) -> str:
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text[:100])
