"""Our reading of an answer's head finds what the standard library's finds, whatever comes."""

from __future__ import annotations

import http.client
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from urllib3.exceptions import HeaderParsingError
from urllib3.util.response import assert_header_parsing

from falconkit import Context
from falconkit.errors import UpstreamFailed
from falconkit.testing.peer import Peer, answer, hang_up
from falconkit.transport import http as falconkit_http
from falconkit.transport.http.client_head import parse_headers

PLAIN = st.builds(
    lambda name, space, value, end: name + b":" + space + value + end,
    st.sampled_from([b"Content-Length", b"content-length", b"X-A", b"Set-Cookie", b"!#$~"]),
    st.sampled_from([b"", b" ", b"\t ", b"  "]),
    st.sampled_from([b"", b"7", b"a, b ", b"multipart/mixed; boundary=x", b"\xe9\xff", b"a\t"]),
    st.sampled_from([b"\r\n", b"\r\n", b"\n"]),
)
ODD = st.one_of(
    st.sampled_from(
        [
            b" folded\r\n",
            b"\tfolded\n",
            b"no colon\r\n",
            b": empty\r\n",
            b"a b: c\r\n",
            b"From x\r\n",
        ]
    ),
    st.binary(max_size=12).map(lambda line: line + b"\r\n"),
    st.sampled_from([b"X: a\rb\r\n", b"X: a\0b\r\n", b"X:\x0b\x0c\x1c\x85y\r\n", b"X\x00: 1\r\n"]),
)
HEADS = st.builds(
    lambda lines, end: b"".join(lines) + end,
    st.one_of(st.lists(PLAIN, max_size=6), st.lists(st.one_of(PLAIN, ODD), max_size=6)),
    st.sampled_from([b"\r\nbody", b"\nbody", b""]),
)


def found(parse, head: bytes):
    """What a parser makes of it: its headers, whether they are refused, and what it leaves."""
    stream = io.BytesIO(head)
    try:
        message = parse(stream)
    except Exception as error:
        return type(error), str(error)
    try:
        assert_header_parsing(message)
        refused = False
    except HeaderParsingError:
        refused = True
    return message.items(), refused, stream.read()


@given(HEADS)
@example(b"X: " + b"a" * 65534 + b"\r\n\r\n")
@example(b"X: " + b"a" * 65530 + b"\r\n\r\n")
@example(b"X: a\r\n" * 100 + b"\r\n")
@example(b"X: a\r\n" * 99 + b"\r\n")
def test_it_finds_what_the_library_finds(head):
    ours, theirs = found(parse_headers, head), found(http.client.parse_headers, head)
    assert ours == theirs


@pytest.mark.parametrize(
    ("head", "value"),
    [
        ("Content-Length: 1, 1", None),
        ("Content-Length: -1", None),
        ("Content-Length: 1\r\nTransfer-Encoding: chunked", None),
        ("Content-Length: 1\r\nContent-Length: 1", 1),
        ("Content-Length: +1", 1),
    ],
)
def test_a_body_whose_length_is_not_plain_is_bounded_all_the_same(head, value):
    sent = f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode() + b"1" * 100_000
    with Peer(hang_up(sent)) as peer:
        client = falconkit_http.Client("GET", peer.url, max_answer=1000)
        if value is None:
            with pytest.raises(UpstreamFailed):
                client(Context(), None)
        else:
            assert client(Context(), None) == value
        client.close()


def test_head_and_body_of_a_request_are_sent_at_once(monkeypatch):
    sent = []
    with Peer(answer(200, b"1"), answer(200, b"2")) as peer:
        client = falconkit_http.Client("POST", peer.url)
        monkeypatch.setattr(
            "urllib3.connection.HTTPConnection.send",
            lambda self, data: (
                sent.append(data),
                self.sock or self.connect(),
                self.sock.sendall(data),
            ),
        )
        assert [client(Context(), "x" * each) for each in (3, 100_000)] == [1, 2]
        assert [len(each.body) for each in peer.requests] == [5, 100_002]
        client.close()
    assert len(sent) == 3, "a long body is not copied"
    assert sent[0].endswith(b'\r\n\r\n"xxx"')
