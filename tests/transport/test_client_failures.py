"""Each way in which a call can fail, on real sockets, and whether it may be tried again."""

import fcntl
import gzip
import signal
import socket
import struct
import termios
import threading

import pytest

from falconkit import Context
from falconkit.clock import system_clock
from falconkit.errors import (
    CircuitOpen,
    DeadlineExceeded,
    DecodeError,
    Failed,
    Forbidden,
    OutcomeUnknown,
    RateLimited,
    Unauthenticated,
    UpstreamFailed,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from falconkit.testing import wait_until
from falconkit.testing.peer import Peer, answer, drip, hang_up, reset, silence
from falconkit.transport.http.client import Client

CTX = Context(request_id="r-12345678901234567890")
WHOLE = answer(200, b'{"v":1}')


LOST = {
    "nothing at all": hang_up(),
    "a reset": reset(),
    "half a status line": hang_up(b"HTTP/1."),
    "half the headers": hang_up(WHOLE[:30]),
    "half the body": hang_up(WHOLE[:-2]),
    "half a chunk": hang_up(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n12"),
    "no last chunk": hang_up(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n1\r\n"),
    "a bad chunk": hang_up(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n1\r\n"),
    "another protocol": hang_up(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "a status that is no number": hang_up(b"HTTP/1.1 two OK\r\n\r\n"),
    "two lengths": hang_up(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12"),
    "another protocol from here on": hang_up(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n"),
    "an interim answer only": hang_up(b"HTTP/1.1 103 Early\r\n\r\n"),
    "an endless header": hang_up(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n"),
    "many headers": hang_up(b"HTTP/1.1 200 OK\r\n" + b"X: x\r\n" * 200 + b"\r\n"),
}
LATE = {
    "nothing": silence(),
    "interim answers for ever": drip(b"HTTP/1.1 103 Early\r\n\r\n" * 1000, every=0.0005),
    "half the headers": silence(WHOLE[:30]),
    "half the body": silence(WHOLE[:-2]),
    "one header byte now and then": drip(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000),
    "one body byte now and then": drip(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"1" * 1000
    ),
}


def call(peer, method, *, timeout=10.0, **options):
    client = Client(method, peer.url, timeout=timeout, service="billing", **options)
    try:
        return client(CTX, 1 if method == "POST" else None)
    finally:
        client.close()


@pytest.mark.parametrize("reply", LOST.values(), ids=LOST.keys())
def test_a_lost_answer(reply):
    with Peer(reply) as peer, pytest.raises(UpstreamFailed) as raised:
        call(peer, "GET")
    assert type(raised.value) is UpstreamFailed
    assert raised.value.upstream == "billing"
    assert "the answer of billing was lost" in str(raised.value)


@pytest.mark.parametrize("reply", LOST.values(), ids=LOST.keys())
def test_a_lost_answer_to_a_write(reply):
    with Peer(reply) as peer:
        with pytest.raises(OutcomeUnknown, match="under the same request id") as raised:
            call(peer, "POST")
        assert len(peer.requests) == 1
        assert peer.connections == 1
    assert raised.value.upstream == "billing"
    assert type(raised.value.__cause__) is UpstreamFailed
    assert "127.0.0.1" not in str(raised.value)


@pytest.mark.parametrize("reply", LATE.values(), ids=LATE.keys())
def test_a_late_answer(reply):
    with Peer(reply) as peer, pytest.raises(UpstreamTimeout) as raised:
        call(peer, "GET", timeout=0.1)
    assert raised.value.upstream == "billing"
    assert str(raised.value) == "billing did not answer in 0.1 s"


@pytest.mark.parametrize("reply", LATE.values(), ids=LATE.keys())
def test_a_late_answer_to_a_write(reply):
    with Peer(reply) as peer:
        with pytest.raises(OutcomeUnknown) as raised:
            call(peer, "POST", timeout=0.1)
        assert len(peer.requests) == 1
    assert type(raised.value.__cause__) is UpstreamTimeout
    assert raised.value.__cause__.__cause__ is not None


def test_the_callers_deadline_is_the_sooner_one():
    with Peer(silence()) as peer:
        client = Client("GET", peer.url)
        ctx = CTX.replace(deadline=system_clock.monotonic() + 0.1)
        with pytest.raises(UpstreamTimeout):
            client(ctx, None)
        assert int(peer.requests[0].headers["x-request-timeout-ms"]) <= 100
        client.close()


def test_a_write_that_may_run_twice_says_that_it_timed_out():
    with Peer(silence()) as peer, pytest.raises(UpstreamTimeout):
        call(peer, "POST", timeout=0.1, idempotent=True)


def test_a_connection_whose_answer_was_late_is_not_used_again():
    late = silence(WHOLE[:-2])
    with Peer(late, answer(200, b"2")) as peer:
        client = Client("GET", peer.url, returns=int, timeout=0.1)
        with pytest.raises(UpstreamTimeout):
            client(CTX, None)
        assert client(CTX, None) == 2
        assert peer.connections == 2
        client.close()


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_nobody_listens(method):
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    client = Client(method, f"http://127.0.0.1:{port}", service="billing")
    with pytest.raises(UpstreamUnavailable) as raised:
        client(CTX, 1 if method == "POST" else None)
    assert raised.value.upstream == "billing"
    assert f"billing cannot be reached at http://127.0.0.1:{port}" in str(raised.value)


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_such_name(method):
    client = Client(method, "http://no-such-service.invalid/")
    with pytest.raises(UpstreamUnavailable, match="no-such-service"):
        client(CTX, 1 if method == "POST" else None)


def test_nobody_accepts():
    # A listener whose queue is full drops further connections without a word.
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        try:
            for _ in range(4):
                each = socket.socket()
                each.setblocking(False)
                each.connect_ex(listener.getsockname())
                waiting.append(each)
            client = Client("POST", f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=0.1)
            with pytest.raises(UpstreamUnavailable):
                client(CTX, 1)
        finally:
            for each in waiting:
                each.close()


@pytest.mark.parametrize(
    ("status", "body", "headers", "kind"),
    [
        (400, b"$.v: expected int", {}, DecodeError),
        (401, b"who", {"WWW-Authenticate": "Basic"}, Unauthenticated),
        (403, b"no", {}, Forbidden),
        (404, b"no", {}, UpstreamFailed),
        (409, b"taken", {}, Failed),
        (429, b"slow down", {"Retry-After": "7"}, RateLimited),
        (500, b"oops", {}, UpstreamFailed),
        (502, b"oops", {}, UpstreamFailed),
        (503, b"full", {"Retry-After": "7"}, UpstreamUnavailable),
        (504, b"late", {}, UpstreamTimeout),
    ],
)
def test_an_error_that_was_answered_is_the_same_error_here(status, body, headers, kind):
    with Peer(answer(status, body, headers)) as peer, pytest.raises(kind) as raised:
        call(peer, "GET")
    assert type(raised.value) is kind
    assert raised.value.upstream == "billing"
    if "Retry-After" in headers:
        assert raised.value.retry_after == 7.0
    if isinstance(raised.value, UpstreamFailed):
        assert raised.value.status == status


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (503, "circuit_open", CircuitOpen),
        (503, "outcome_unknown", OutcomeUnknown),
        (504, "deadline_exceeded", DeadlineExceeded),
    ],
)
def test_its_code_tells_what_its_status_leaves_open(status, code, kind):
    body = b'{"status":%d,"code":"%s","detail":"no"}' % (status, code.encode())
    reply = answer(status, body, {"Content-Type": "application/problem+json"})
    with Peer(reply) as peer, pytest.raises(kind) as raised:
        call(peer, "POST")
    assert type(raised.value) is kind
    assert raised.value.upstream == "billing"


def test_a_gateway_that_waited_in_vain_leaves_a_write_unknown():
    with Peer(answer(504, b"gateway timeout")) as peer, pytest.raises(OutcomeUnknown) as raised:
        call(peer, "POST")
    assert raised.value.__cause__.status == 504


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
def test_a_redirect_is_not_followed(status):
    with Peer(answer(status, b"", {"Location": "http://127.0.0.1:9/x"})) as peer:
        with pytest.raises(UpstreamFailed, match=r"http://127\.0\.0\.1:9/x") as raised:
            call(peer, "GET")
        assert len(peer.requests) == 1
    assert raised.value.status == status


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "malformed"),
        (b"", "truncated"),
        (b'"five"', "Expected `int`, got `str`"),
        (b"\xff", "malformed"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_answer_that_is_not_what_was_expected(method, body, words):
    with Peer(answer(200, body)) as peer, pytest.raises(UpstreamFailed, match=words) as raised:
        call(peer, method, returns=int)
    assert raised.value.status == 200


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_answer_that_is_too_large(method, announced):
    whole = answer(200, b"1" * 101)
    if not announced:
        chunk = b"65\r\n" + b"1" * 101 + b"\r\n0\r\n\r\n"
        whole = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk
    with Peer(whole, answer(200, b"1" * 100)) as peer:
        client = Client(method, peer.url, max_answer=100, service="billing", returns=int)
        with pytest.raises(UpstreamFailed, match="billing answered 200 with more than 100 bytes"):
            client(CTX, 1 if method == "POST" else None)
        assert client(CTX, 1 if method == "POST" else None) == int("1" * 100)
        assert peer.connections == 2
        client.close()


def test_what_was_not_asked_for_is_not_unpacked():
    packed = answer(200, gzip.compress(b"1" * 100_000), {"Content-Encoding": "gzip"})
    with Peer(packed) as peer, pytest.raises(UpstreamFailed, match="malformed"):
        call(peer, "GET", max_answer=10_000)


def test_an_error_that_is_too_large_keeps_its_status():
    with Peer(answer(500, b"x" * 101)) as peer, pytest.raises(UpstreamFailed) as raised:
        call(peer, "GET", max_answer=100)
    assert raised.value.status == 500


def test_bytes_that_nobody_asked_for_are_nobodys_answer():
    smuggled = answer(200, b"1") + answer(200, b"666")
    with Peer(smuggled, answer(200, b"2")) as peer:
        client = Client("GET", peer.url, returns=int)
        assert [client(CTX, None), client(CTX, None)] == [1, 2]
        client.close()


def test_a_refusal_before_the_body_was_read_is_understood():
    def refuses(peer, connection):
        connection.sendall(answer(413, b"too large", {"Connection": "close"}))
        connection.shutdown(socket.SHUT_WR)

    with Peer(refuses) as peer:
        client = Client("POST", peer.url)
        with pytest.raises(DecodeError):
            client(CTX, "x" * 200_000)
        client.close()


def test_an_answer_nested_too_deep():
    with Peer(answer(200, b"[" * 100_000)) as peer, pytest.raises(UpstreamFailed) as raised:
        call(peer, "GET")
    assert isinstance(raised.value.__cause__, RecursionError)


@pytest.fixture
def interrupt():
    """Return what makes the main thread raise SystemExit where it is, as a worker's abort does."""

    def abort(*_):
        raise SystemExit(1)

    before = signal.signal(signal.SIGUSR1, abort)
    yield lambda: signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.parametrize("at", [0, 20, len(WHOLE) - 2], ids=["head", "headers", "body"])
def test_a_call_that_is_interrupted_leaves_no_broken_connection(interrupt, at):
    seen = []

    def half(peer, connection):
        connection.sendall(WHOLE[:at])
        # Once the client waits for more, which its empty queue tells.
        wait_until(lambda: not waiting_in(connection), what="the client to read")
        interrupt()
        peer.closed.wait(5.0)

    with Peer(half, answer(200, b"2")) as peer:
        client = Client(
            "POST", peer.url, timeout=5.0, finalizers=[lambda ctx, e: seen.append(e.error)]
        )
        with pytest.raises(SystemExit) as raised:
            client(CTX, 1)
        assert client(CTX, 1) == 2
        assert peer.connections == 2
        client.close()
    assert seen == [raised.value, None]


def waiting_in(connection):
    """Bytes that were sent and that the other end's kernel has not acknowledged."""
    return struct.unpack("I", fcntl.ioctl(connection, termios.TIOCOUTQ, b"\0" * 4))[0]
