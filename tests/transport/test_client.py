"""A client endpoint on real sockets: what it sends, and what it makes of an answer."""

import threading
from dataclasses import dataclass

import msgspec
import pytest

from falconkit import Context, chain, layers, name_of
from falconkit.errors import (
    ConfigurationError,
    DeadlineExceeded,
    DecodeError,
    Failed,
    RateLimited,
    UpstreamFailed,
    UpstreamUnavailable,
)
from falconkit.events import BackendFailed, Events
from falconkit.ratelimit import TokenBucket, limit
from falconkit.testing import ManualClock
from falconkit.testing.peer import Peer, answer
from falconkit.transport.http.client import Client
from falconkit.transport.http.client_pool import Pool
from falconkit.transport.http.client_wire import Outgoing

CTX = Context(request_id="r-12345678901234567890")


@dataclass
class Add:
    v: int


class Total(msgspec.Struct):
    total: int


@pytest.fixture
def calls():
    """Make clients that are closed when the test ends."""
    made = []

    def make(*args, **options):
        made.append(Client(*args, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_call_is_json_both_ways(calls):
    with Peer(answer(200, b'{"total":3}')) as peer:
        client = calls("POST", f"{peer.url}/add", returns=Total, timeout=5.0)
        assert client(CTX, Add(3)) == Total(3)
        (request,) = peer.requests
    assert (request.method, request.target, request.body) == ("POST", "/add", b'{"v":3}')
    assert request.headers == {
        "host": f"127.0.0.1:{peer.port}",
        "accept-encoding": "identity",
        "content-length": "7",
        "content-type": "application/json",
        "accept": "application/json, application/problem+json",
        "user-agent": "falconkit/0.1.0",
        "x-request-id": "r-12345678901234567890",
        "x-request-timeout-ms": "5000",
    }


def test_a_get_sends_no_body(calls):
    with Peer(answer(200, b"[1,2]")) as peer:
        client = calls("GET", f"{peer.url}/users/{{id}}/notes", returns=list[int])
        assert client(CTX, {"id": "a/ö", "limit": 3, "tag": ["x y", "&"]}) == [1, 2]
        (request,) = peer.requests
    assert request.target == "/users/a%2F%C3%B6/notes?limit=3&tag=x%20y&tag=%26"
    assert request.body == b""
    assert "content-type" not in request.headers
    assert "content-length" not in request.headers


def test_without_a_type_any_json_is_returned_and_nothing_is_none(calls):
    with Peer(answer(200, b'{"a":[1]}'), answer(200), answer(204)) as peer:
        client = calls("DELETE", peer.url)
        assert client(CTX, None) == {"a": [1]}
        assert client(CTX, None) is None
        assert client(CTX, None) is None
        assert [request.target for request in peer.requests] == ["/"] * 3


def test_an_answer_that_has_no_content_is_none_whatever_the_type(calls):
    with Peer(answer(204)) as peer:
        assert calls("PUT", peer.url, returns=int)(CTX, 1) is None


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("method", "reply", "result"),
    [
        ("GET", CHUNKED + b"1\r\n1\r\n0\r\n\r\n", 1),
        ("GET", CHUNKED + b"1\r\n1\r\n1\r\n2\r\n0\r\nX: trailer\r\n\r\n", 12),
        ("GET", CHUNKED + b"0\r\n\r\n", None),
        ("GET", b"HTTP/1.1 204 No\r\n\r\n", None),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", None),
        ("GET", b"HTTP/1.1 103 Early\r\n\r\n" + answer(200, b"1"), 1),
        ("GET", b"HTTP/1.1 102 No\r\n\r\nHTTP/1.1 103 No\r\nX: y\r\n\r\n" + answer(200, b"1"), 1),
        ("GET", b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + answer(200, b"1"), 1),
    ],
)
def test_every_framing_leaves_the_connection_as_it_was(calls, method, reply, result):
    with Peer(reply, reply) as peer:
        client = calls(method, peer.url)
        assert [client(CTX, None), client(CTX, None)] == [result, result]
        assert peer.connections == 1


def test_calls_share_one_connection(calls):
    with Peer(*[answer(200, b"1")] * 20) as peer:
        client = calls("GET", peer.url, returns=int)
        assert [client(CTX, None) for _ in range(20)] == [1] * 20
        assert peer.connections == 1


def test_an_answer_with_an_error_keeps_the_connection(calls):
    with Peer(answer(409, b"taken"), answer(200, b"1")) as peer:
        client = calls("POST", peer.url, returns=int)
        with pytest.raises(Failed, match="taken"):
            client(CTX, 1)
        assert client(CTX, 1) == 1
        assert peer.connections == 1


def test_threads_share_a_client(calls):
    with Peer(*[answer(200, b"1")] * 400) as peer:
        client = calls("GET", peer.url, returns=int)
        got = []
        threads = [
            threading.Thread(target=lambda: got.extend(client(CTX, None) for _ in range(50)))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert got == [1] * 400
        assert peer.connections <= 8


def test_an_encoder_and_a_decoder_of_ones_own(calls):
    def encode(ctx, request):
        return Outgoing(
            body=request.encode(),
            headers={"content-type": "text/plain", "ACCEPT": "text/*"},
            path={"word": "up"},
            query={"n": 1},
        )

    def decode(ctx, incoming):
        return incoming.status, incoming.headers["X-Kind"], incoming.body.decode()

    with Peer(answer(201, b"HI", {"x-kind": "loud"})) as peer:
        client = calls("PUT", f"{peer.url}/{{word}}?a=b", encode=encode, decode=decode)
        assert client(CTX, "hi") == (201, "loud", "HI")
        (request,) = peer.requests
    assert (request.method, request.target, request.body) == ("PUT", "/up?a=b&n=1", b"hi")
    assert request.headers["content-type"] == "text/plain"
    assert request.headers["accept"] == "text/*"


def test_before_has_the_last_word(calls):
    seen = []

    def sign(ctx, outgoing):
        seen.append((outgoing.method, outgoing.target, outgoing.body, ctx.request_id))
        outgoing.headers["accept"] = "text/plain"
        outgoing.headers["X-Signature"] = "abc"
        del outgoing.headers["user-agent"]

    with Peer(answer(200, b"1")) as peer:
        client = calls("POST", f"{peer.url}/x", before=[sign])
        client(CTX, {"v": 1})
        headers = peer.requests[0].headers
    assert seen == [("POST", "/x", b'{"v":1}', CTX.request_id)]
    assert headers["accept"] == "text/plain"
    assert headers["x-signature"] == "abc"
    assert headers["user-agent"] != "falconkit/0.1.0"


def test_what_before_sets_stays_with_its_call(calls):
    def once(ctx, outgoing):
        if ctx.caller:
            outgoing.headers["X-Caller"] = ctx.caller

    with Peer(answer(200), answer(200)) as peer:
        client = calls("POST", peer.url, before=[once])
        client(CTX.replace(caller="ann"), 1)
        client(CTX, 1)
        first, second = peer.requests
    assert first.headers["x-caller"] == "ann"
    assert "x-caller" not in second.headers


@pytest.mark.parametrize("value", ["a\r\nX-Evil: 1", "a\nb", "\u20ac"])
def test_a_header_that_cannot_be_sent_is_not(calls, value):
    def inject(ctx, outgoing):
        outgoing.headers["X-Mine"] = value

    with Peer() as peer:
        client = calls("POST", peer.url, before=[inject])
        with pytest.raises(ValueError):
            client(CTX, 1)
        assert peer.requests == []


def test_after_sees_every_answer_whole(calls):
    seen = []

    def note(ctx, incoming):
        seen.append((incoming.status, incoming.headers["x-left"], incoming.body, ctx))

    with Peer(answer(200, b"1", {"X-Left": "4"}), answer(429, b"no", {"X-Left": "0"})) as peer:
        client = calls("GET", peer.url, after=[note])
        client(CTX, None)
        with pytest.raises(RateLimited):
            client(CTX, None)
    assert seen == [(200, "4", b"1", CTX), (429, "0", b"no", CTX)]


def test_finalizers_see_how_it_ended(calls):
    clock, seen = ManualClock(), []

    def later(ctx, incoming):
        clock.advance(0.25)

    def note(ctx, exchange):
        seen.append((exchange.status, exchange.size, exchange.elapsed, exchange.error))

    with Peer(answer(200, b"12345"), answer(503, b"full"), answer(200, b"{")) as peer:
        client = calls(
            "POST", peer.url, returns=int, after=[later], finalizers=[note, note], clock=clock
        )
        client(CTX, 1)
        for kind in (UpstreamUnavailable, UpstreamFailed):
            with pytest.raises(kind):
                client(CTX, 1)
    with pytest.raises(DeadlineExceeded):
        client(CTX.replace(deadline=clock.monotonic()), 1)
    assert seen[::2] == seen[1::2]
    assert [(status, size, elapsed) for status, size, elapsed, _ in seen[::2]] == [
        (200, 5, 0.25),
        (503, 4, 0.25),
        (200, 1, 0.25),
        (None, 0, 0.0),
    ]
    assert [type(error).__name__ for *_, error in seen[::2]] == [
        "NoneType",
        "UpstreamUnavailable",
        "UpstreamFailed",
        "DeadlineExceeded",
    ]


def test_a_finalizer_that_fails_is_told_and_harms_nobody(calls, caplog):
    heard, seen = [], []

    def broken(ctx, exchange):
        raise KeyError("x")

    with Peer(answer(200, b"1")) as peer:
        client = calls("GET", peer.url, finalizers=[broken, lambda ctx, e: seen.append(e.status)])
        assert client(CTX.replace(events=Events(heard.append)), None) == 1
    assert seen == [200]
    assert heard == [BackendFailed("finalizer", "KeyError")]
    (record,) = [each for each in caplog.records if each.name == "falconkit.http"]
    assert "of get failed" in record.getMessage()


def test_the_deadline_is_what_is_left_and_goes_on(calls):
    clock = ManualClock(monotonic=100.0)
    with Peer(answer(200), answer(200)) as peer:
        client = calls("GET", peer.url, clock=clock)
        client(CTX.replace(deadline=102.5), None)
        client(CTX.replace(deadline=200.0), None)
        sent = [request.headers["x-request-timeout-ms"] for request in peer.requests]
    assert sent == ["2500", "10000"]


@pytest.mark.parametrize(("left", "sent"), [(0.0001, "1"), (0.0019, "1"), (0.0021, "2")])
def test_what_is_left_is_told_in_whole_milliseconds_and_never_as_nothing(left, sent):
    def stop(ctx, outgoing):
        raise LookupError(outgoing.headers["X-Request-Timeout-Ms"])

    clock = ManualClock(monotonic=100.0)
    client = Client("GET", "http://x/", before=[stop], clock=clock)
    with pytest.raises(LookupError, match=f"^{sent}$"):
        client(CTX.replace(deadline=100.0 + left), None)


@pytest.mark.parametrize("over", [0.0, -3.0])
def test_when_the_time_is_over_nothing_is_sent(calls, over):
    clock = ManualClock()
    with Peer() as peer:
        client = calls("POST", peer.url, clock=clock, service="billing")
        with pytest.raises(DeadlineExceeded, match="billing was not asked"):
            client(CTX.replace(deadline=clock.monotonic() + over), 1)
        assert peer.connections == 0


def test_a_service_of_somebody_else_learns_no_ids(calls):
    with Peer(answer(200)) as peer:
        calls("GET", peer.url, send_ids=False)(CTX, None)
        assert not {"x-request-id", "x-request-timeout-ms"} & peer.requests[0].headers.keys()


def test_without_a_request_id_none_is_sent(calls):
    with Peer(answer(200)) as peer:
        calls("GET", peer.url)(Context(), None)
        assert "x-request-id" not in peer.requests[0].headers


def test_middlewares_serve_it_as_they_serve_an_endpoint(calls):
    with Peer(answer(200, b"1")) as peer:
        client = calls("POST", f"{peer.url}/add", returns=int)
        bucket = TokenBucket("1/hour", storage="memory://")
        guarded = chain(limit(bucket))(client)
        assert name_of(guarded) == "post_add"
        assert [each.name for each in layers(guarded)] == ["limit"]
        assert guarded(CTX, 1) == 1
        with pytest.raises(RateLimited) as raised:
            guarded(CTX, 1)
        assert raised.value.upstream is None
        assert len(peer.requests) == 1


@pytest.mark.parametrize(
    ("method", "url", "name"),
    [
        ("GET", "http://users", "get"),
        ("GET", "http://users/", "get"),
        ("GET", "http://users:80/users/{id}?limit=3", "get_users_id"),
        ("POST", "https://users/v1/add-all", "post_v1_add_all"),
    ],
)
def test_its_name_is_made_of_method_and_path(method, url, name):
    assert name_of(Client(method, url)) == name


def test_name_and_service_can_be_given():
    client = Client("GET", "http://10.0.0.1:8000/x", name="ask", service="billing")
    assert (name_of(client), client.service) == ("ask", "billing")
    assert Client("GET", "http://10.0.0.1:8000/x").service == "10.0.0.1"
    assert repr(client) == "Client('GET', 'http://10.0.0.1:8000/x')"


@pytest.mark.parametrize(
    ("method", "given", "idempotent"),
    [
        ("GET", None, True),
        ("HEAD", None, True),
        ("OPTIONS", None, True),
        ("TRACE", None, True),
        ("PUT", None, True),
        ("DELETE", None, True),
        ("POST", None, False),
        ("PATCH", None, False),
        ("PURGE", None, False),
        ("POST", True, True),
        ("GET", False, False),
    ],
)
def test_what_may_run_twice(method, given, idempotent):
    assert Client(method, "http://x", idempotent=given).idempotent is idempotent


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "get"}, "'get'"),
        ({"method": "GET /"}, "'GET /'"),
        ({"method": ""}, "''"),
        ({"timeout": 0}, "got 0"),
        ({"timeout": -1.0}, "got -1.0"),
        ({"timeout": float("nan")}, "got nan"),
        ({"timeout": float("inf")}, "got inf"),
        ({"max_answer": 0}, "got 0"),
        ({"name": "a b"}, "'a b'"),
        ({"returns": int, "decode": lambda ctx, incoming: 1}, "give one"),
        ({"url": "ftp://x/"}, "'ftp://x/'"),
        ({"url": "/add"}, "'/add'"),
        ({"url": "http:///add"}, "'http:///add'"),
        ({"url": "http://x:port/"}, "http://x:port/"),
        ({"url": "http://x:99999/"}, "http://x:99999/"),
        ({"url": "http://[::1/"}, "http://[::1/"),
        ({"url": "http://ann:secret@x/"}, "before="),
        ({"url": "http://x/#top"}, "fragment"),
        ({"url": "http://x/a b"}, "percent-encoded"),
        ({"url": "http://x/ö"}, "percent-encoded"),
        ({"url": "http://x/{id"}, "percent-encoded"),
        ({"url": "http://x/{id}/{id}"}, "twice"),
        ({"url": "http://x/?id={id}"}, "in the path only"),
        ({"url": f"http://{'x' * 64}.com/"}, "no host name"),
    ],
)
def test_what_cannot_work_is_said_when_it_is_built(options, words):
    with pytest.raises(ConfigurationError) as raised:
        Client(**{"method": "POST", "url": "http://x/", **options})
    assert words in str(raised.value)
    assert "secret" not in str(raised.value)


def test_the_smallest_bounds_are_taken():
    Client("GET", "http://x/", max_answer=1, timeout=1e-6)
    Client("GET", "http://x/", timeout=86_400)
    with pytest.raises(ConfigurationError, match="86401"):
        Client("GET", "http://x/", timeout=86_401)


def test_a_type_that_cannot_be_decoded_is_said_when_it_is_built():
    with pytest.raises(ConfigurationError, match="decode="):
        Client("GET", "http://x/", returns=list[int] | tuple[int, ...])


def test_closed_twice_and_asked_after(calls):
    with Peer(answer(200)) as peer:
        client = calls("POST", peer.url)
        client(CTX, 1)
        client.close()
        client.close()
        with pytest.raises(UpstreamUnavailable, match="closed"):
            client(CTX, 1)


def test_a_shared_pool_outlives_its_clients(calls):
    pool = Pool()
    with Peer(answer(200), answer(200)) as peer:
        first = calls("GET", f"{peer.url}/a", pool=pool)
        second = calls("GET", f"{peer.url}/b", pool=pool)
        first(CTX, None)
        first.close()
        second(CTX, None)
        assert [request.target for request in peer.requests] == ["/a", "/b"]
        assert peer.connections == 1
        pool.close()
        with pytest.raises(UpstreamUnavailable):
            second(CTX, None)


def test_what_a_decoder_finds_wrong_is_the_services_fault(calls):
    def decode(ctx, incoming):
        raise DecodeError("no", where="$.v")

    with Peer(answer(200, b"1")) as peer:
        client = calls("GET", peer.url, decode=decode)
        with pytest.raises(UpstreamFailed, match=r"\$\.v: no") as raised:
            client(CTX, None)
    assert raised.value.status == 200
    assert isinstance(raised.value.__cause__, DecodeError)
