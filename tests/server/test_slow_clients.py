"""Clients that are slow to say what they want hold nobody up."""

from __future__ import annotations

import contextlib
import socket
import struct
from collections.abc import Iterator
from unittest.mock import Mock

import pytest
from gunicorn.http.errors import InvalidRequestLine, LimitRequestHeaders, LimitRequestLine
from hypothesis import given
from hypothesis import strategies as st

from falconkit.server import heads
from tests.load import answer
from tests.server.serving import APP, PLAIN, Held, said, until

REQUEST = b"GET /environ HTTP/1.1\r\nHost: a\r\n\r\n"
MOST = (8190, 60_000)


@contextlib.contextmanager
def clients(port: int, count: int) -> Iterator[list[socket.socket]]:
    with contextlib.ExitStack() as stack:
        connect = socket.create_connection
        yield [stack.enter_context(connect(("127.0.0.1", port), timeout=20)) for _ in range(count)]


def test_half_heads_hold_no_thread_and_are_answered_408(held: Held):
    with held.serve(BODY_TIMEOUT="1") as server, clients(server.port, 12) as slow:
        for client in slow:
            client.sendall(REQUEST[:20])
        assert server.get("/environ")[0] == 200
        assert not said(server, "did not arrive")
        for client in slow:
            assert answer(client)[0] == 408
            assert client.recv(1) == b""
        lines = until(lambda: said(server, "its head did not arrive in 1 s"))
        assert {line["level"] for line in lines} == {"warning"}
        assert "ip=127.0.0.1" in lines[0]["message"]


def test_a_head_that_trickles_is_bounded_in_all(held: Held):
    with held.serve(BODY_TIMEOUT="0.5") as server, clients(server.port, 1) as [client]:
        client.sendall(b"GET / HTTP/1.1\r\nX: ")

        def cut() -> bool:
            try:
                client.sendall(b"x")
            except ConnectionError:
                return True
            return False

        until(cut)
        assert said(server, "its head did not arrive in 0.5 s")


def test_silent_clients_hold_no_thread_and_are_closed(held: Held):
    with held.serve(BODY_TIMEOUT="0.5") as server, clients(server.port, 12) as silent:
        assert server.get("/environ")[0] == 200
        for client in silent:
            assert client.recv(1) == b""
        assert not said(server, "Invalid request")


def test_a_head_in_pieces_on_a_kept_connection(held: Held):
    with held.serve() as server, clients(server.port, 1) as [client]:
        for _ in range(2):
            for piece in (REQUEST[:3], REQUEST[3:-2], REQUEST[-2:]):
                client.sendall(piece)
                server.get("/environ")
            assert answer(client)[0] == 200


def test_two_requests_and_a_half_at_once(held: Held):
    with held.serve(PLAIN) as server, clients(server.port, 1) as [client]:
        one = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
        client.sendall(one + one + one[:10])
        with client.makefile("rb", buffering=0) as unbuffered:  # both may be here at once
            for _ in range(2):
                assert unbuffered.readline() == b"HTTP/1.1 200 OK\r\n"
                head = dict(line.split(b": ") for line in iter(unbuffered.readline, b"\r\n"))
                assert unbuffered.read(int(head[b"Content-Length"])).isdigit()
        client.sendall(one[10:])
        assert answer(client)[0] == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\nHost: a\n\n", 400),
        (b"GET /" + b"x" * 9000, 414),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % i for i in range(101)) + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 9000 + b"\r\n\r\n", 431),
        (b"G\xffT / HTTP/1.1\r\n\r\n", 400),
        (b"GET X: y\r\n\r\nGET", 400),
        (b"GET / HTTP/1.1\r\nX: y\n", 400),
        (b"\r\n" + REQUEST, 200),
    ],
    ids=[
        "bare LF",
        "line",
        "fields",
        "field",
        "method",
        "no sense",
        "bare LF later",
        "empty line first",
    ],
)
def test_what_the_parser_refuses_it_refuses_at_once(held: Held, head: bytes, status: int):
    with held.serve(BODY_TIMEOUT="3600") as server, clients(server.port, 1) as [client]:
        client.sendall(head)
        assert answer(client)[0] == status
        if status != 200:
            [line] = until(lambda: said(server, "Invalid request from ip=127.0.0.1"))
            assert line["level"] == "warning"


def test_clients_that_leave_leave_nothing_behind(held: Held):
    with held.serve(APP, "--worker-connections", "5") as server:
        for _ in range(3):
            with clients(server.port, 5) as leaving:
                for client in leaving:
                    client.sendall(REQUEST[:9])
                # Closed by a reset, which is an error to whoever reads.
                leaving[0].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert server.get("/environ")[0] == 200


@given(st.integers(1, len(REQUEST) - 1), st.sampled_from([b"", b"\r\n"]))
def test_no_part_of_a_head_is_the_whole(end: int, before: bytes):
    assert not heads.is_whole(before + REQUEST[:end], MOST)
    assert heads.is_whole(before + REQUEST, MOST)
    assert heads.is_whole(before + REQUEST + b"more", MOST)


def test_what_is_over_a_limit_is_refused():
    assert not heads.is_whole(b"x" * 8192, MOST)
    with pytest.raises(LimitRequestLine):
        heads.is_whole(b"x" * 8193, MOST)
    with pytest.raises(LimitRequestLine):
        heads.is_whole(b"\r\n" + b"x" * 8193, MOST)
    line = b"GET / HTTP/1.1\r\n"
    assert not heads.is_whole(line + b"x" * (60_000 - len(line)), MOST)
    with pytest.raises(LimitRequestHeaders):
        heads.is_whole(line + b"x" * (60_001 - len(line)), MOST)


def test_a_bare_line_feed_is_refused():
    with pytest.raises(InvalidRequestLine):
        heads.is_whole(b"GET / HTTP/1.1\n", MOST)
    assert not heads.is_whole(b"GET / HTTP/1.1\r", MOST)


def test_the_limits_are_gunicorns():
    cfg = Mock(limit_request_line=100, limit_request_fields=2, limit_request_field_size=50)
    assert heads.most_bytes(cfg) == (100, 100 + 2 * 52 + 4)
    cfg = Mock(limit_request_line=0, limit_request_fields=0, limit_request_field_size=0)
    assert heads.most_bytes(cfg) == (1 << 20, (1 << 20) + 32768 * 8192 + 4)


@pytest.mark.parametrize(
    "other",
    [
        {"is_ssl": True},
        {"http_protocols": ["h2", "h1"]},
        {"protocol": "uwsgi"},
        {"proxy_protocol": "v1"},
    ],
)
def test_only_plain_http_is_read_ahead(other: dict[str, object]):
    plain = {
        "is_ssl": None,
        "http_protocols": ["h1"],
        "protocol": "http",
        "proxy_protocol": "off",
    }
    assert heads.can_read(Mock(**plain))
    assert not heads.can_read(Mock(**(plain | other)))
