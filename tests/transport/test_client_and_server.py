"""An endpoint asked through a client is the same endpoint: its answers and its errors come over."""

import threading
from wsgiref.simple_server import WSGIRequestHandler, make_server

import msgspec
import pytest

from falconkit import Context
from falconkit.arena import Arena
from falconkit.errors import (
    CircuitOpen,
    DeadlineExceeded,
    DecodeError,
    Failed,
    Forbidden,
    NoInstance,
    OutcomeUnknown,
    Overloaded,
    RateLimited,
    Unauthenticated,
    UpstreamFailed,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from falconkit.ratelimit import TokenBucket, limit
from falconkit.transport.http import Answer, app
from falconkit.transport.http.client import Client
from falconkit.transport.http.status import MethodNotAllowed, NoSuchPath

CTX = Context(request_id="r-12345678901234567890")


class User(msgspec.Struct):
    id: int
    name: str = "?"
    tags: list[str] = []


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


class Service:
    """What the server's endpoint does next, and what it saw."""

    def __init__(self):
        self.outcome = None
        self.seen = []

    def post(self, ctx: Context, user: User) -> User:
        self.seen.append((ctx.request_id, user))
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return user

    def get(self, ctx: Context, user: User) -> User:
        return self.post(ctx, user)

    def create(self, ctx: Context, user: User) -> Answer[User]:
        return Answer(user, status=201, headers={"Location": f"/users/{user.id}"})


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    service = Service()
    arena = Arena(tmp_path_factory.mktemp("arena"))
    served = app(arena=arena)
    served.post("/users", service.post)
    served.get("/users/{id}", service.get)
    served.put("/users/{id}", service.create)
    once = limit(TokenBucket("1/hour", storage="memory://"))
    served.post("/limited", service.post, once, name="limited")
    with make_server("127.0.0.1", 0, served, handler_class=Quiet) as server:
        service.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield service
        server.shutdown()
        thread.join()
    served.close()
    arena.close()


@pytest.fixture
def ask(service):
    made = []
    service.outcome = None
    service.seen.clear()

    def make(method, path, request, **options):
        made.append(Client(method, service.url + path, service="users", **options))
        return made[-1](CTX, request)

    yield make
    for each in made:
        each.close()


def test_a_typed_call_over_and_back(ask, service):
    user = User(7, "ann", ["x"])
    assert ask("POST", "/users", user, returns=User) == user
    assert service.seen == [(CTX.request_id, user)]


@pytest.mark.parametrize("user", [User(7), User(7, "a b&c=d/e", ["x y", "&", "ö"]), User(7, "")])
def test_path_and_query_over_and_back(ask, service, user):
    assert ask("GET", "/users/{id}", user, returns=User) == user


def test_status_and_headers_over(ask):
    seen = []
    ask("PUT", "/users/{id}", User(7), after=[lambda ctx, answer: seen.append(answer)])
    (answer,) = seen
    assert (answer.status, answer.headers["Location"]) == (201, "/users/7")
    assert answer.headers["X-Request-ID"] == CTX.request_id


OVER = [
    CircuitOpen(retry_after=2.0),
    Overloaded(retry_after=3.0),
    NoInstance(),
    RateLimited(retry_after=4.0),
    DeadlineExceeded(),
    Unauthenticated(challenge='Basic realm="x"'),
    Forbidden(),
    Failed("the name is taken"),
    DecodeError("expected int, got str", where="$.id"),
    OutcomeUnknown(),
]


@pytest.mark.parametrize("error", OVER, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_error_comes_over_as_itself(ask, service, error, method):
    service.outcome = error
    with pytest.raises(type(error)) as raised:
        ask(method, "/users/{id}" if method == "GET" else "/users", User(7))
    there = raised.value
    assert type(there) is type(error)
    assert there.upstream == "users"
    assert str(error).endswith(str(there).removeprefix("$.id: "))
    for name in ("retry_after", "challenge", "where"):
        assert getattr(there, name, None) == getattr(error, name, None)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KeyError("secret"), UpstreamFailed),
        (UpstreamFailed("db:5432 gave up", upstream="db"), UpstreamFailed),
        (UpstreamUnavailable("db:5432 is down", upstream="db"), UpstreamUnavailable),
        (UpstreamTimeout("db:5432 is slow", upstream="db"), UpstreamTimeout),
    ],
)
def test_what_failed_there_is_an_upstreams_failure_here(ask, service, error, kind):
    service.outcome = error
    with pytest.raises(kind) as raised:
        ask("GET", "/users/{id}", User(7))
    assert type(raised.value) is kind
    assert raised.value.upstream == "users"
    assert "secret" not in str(raised.value)
    assert "5432" not in str(raised.value)


def test_a_refused_rate_comes_with_its_numbers(ask):
    ask("POST", "/limited", User(7))
    with pytest.raises(RateLimited) as raised:
        ask("POST", "/limited", User(7))
    error = raised.value
    assert (error.limit, error.remaining, error.upstream) == (1, 0, "users")
    assert 3500 < error.retry_after <= 3600


def test_a_path_that_is_not_there(ask):
    with pytest.raises(NoSuchPath) as raised:
        ask("GET", "/nothing", None)
    assert raised.value.upstream == "users"


def test_a_method_that_is_not_taken(ask):
    with pytest.raises(MethodNotAllowed) as raised:
        ask("DELETE", "/users", None)
    assert raised.value.upstream == "users"
    assert "POST" in raised.value.allowed
