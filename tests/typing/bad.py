"""A user's own module: each marked line is wrong, and mypy says so in the words beside it."""

from dataclasses import dataclass

from falconkit import Context, Endpoint, Key, Middleware, chain
from falconkit.endpoint import Req, Res
from falconkit.ratelimit import limit
from falconkit.testing import conform_middleware
from falconkit.transport import http
from falconkit.transport.http.client import Client


@dataclass
class AddRequest:
    v: int


stack = chain(limit("1/second"))


def add(ctx: Context, request: AddRequest) -> int:
    return request.v


@stack
def decorated(ctx: Context, request: AddRequest) -> int:
    return request.v


stack(add)(Context(), "1")  # error: Argument 2 has incompatible type "str"; expected "AddRequest"
word: str = stack(add)(Context(), AddRequest(1))  # error: expression has type "int"
decorated(AddRequest(1), Context())  # error: Argument 1 to "decorated" has incompatible type
decorated(Context())  # error: Too few arguments
decorated(Context(), request=AddRequest(1))  # error: Unexpected keyword argument "request"
decorated(ctx=Context(), request=AddRequest(1))  # error: Unexpected keyword argument "ctx"


class Service:
    @stack  # error: Argument 1 to "__call__" of "Middleware" has incompatible type
    def add(self, ctx: Context, request: AddRequest) -> int:  # error: "self" parameter missing
        return request.v


@stack  # error: Argument 1 to "__call__" of "Middleware" has incompatible type
def no_context(request: AddRequest) -> int:
    return request.v


@limit  # error: Argument 1 to "limit" has incompatible type
def without_its_factory_called(ctx: Context, request: AddRequest) -> int:
    return request.v


def only_sums(next: Endpoint[AddRequest, int], /) -> Endpoint[AddRequest, int]:
    return next


chain(only_sums)  # error: Argument 1 to "chain" has incompatible type
chain(limit)  # error: Argument 1 to "chain" has incompatible type


def changes_the_response() -> Middleware:
    def wrap(next: Endpoint[Req, Res], /) -> Endpoint[Req, Res]:
        def call(ctx: Context, request: Req) -> Res:
            return str(next(ctx, request))  # error: Incompatible return value type

        return call

    return wrap


Context(dead_line=1.5)  # error: Unexpected keyword argument "dead_line"
Context().path = "/"  # error: variable has type "Never"
USER: Key[str] = Key("user")
Context().having(USER, 5)  # error: Cannot infer value of type parameter "T"
client: Client[int, str] = Client("GET", "http://x/", returns=int)  # error: expected "type[str]
conform_middleware(limit("1/second"))  # error: Argument 1 to "conform_middleware"
http.service("counter", zone=5)  # error: Argument "zone" to "service" has incompatible type "int"
http.service("counter").get("/", retries=5)  # error: Unexpected keyword argument "retries"
