"""Our response says the same bytes as gunicorn's, and sends a whole answer at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn import util
from gunicorn.config import Config
from gunicorn.http import wsgi
from hypothesis import example, given
from hypothesis import strategies as st

from falconkit.server import response

THEIRS = wsgi.Response
CFG = Config()


class Sock:
    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def sendall(self, data: bytes) -> None:
        self.sent.append(bytes(data))


def answered(
    kind: Any,
    status: str,
    headers: list[Any],
    chunks: list[Any],
    *,
    method: str = "POST",
    version: tuple[int, int] = (1, 1),
    close: bool = False,
) -> tuple[list[bytes], Any]:
    """Answer by a response class; returns what was sent and what was raised."""
    req = SimpleNamespace(method=method, version=version, should_close=lambda: close)
    sock = Sock()
    made = kind(req, sock, CFG)
    try:
        made.start_response(status, headers)
        for chunk in chunks:
            made.write(chunk)
        made.close()
    except Exception as ex:
        return sock.sent, (type(ex), str(ex))
    return sock.sent, (made.sent, made.headers_sent, made.should_close())


@pytest.fixture(autouse=True)
def stopped_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(util, "http_date", lambda timestamp=None: "Wed, 25 Nov 2026 08:00:00 GMT")
    response._date.cache_clear()


def same(status: str, headers: list[Any], chunks: list[Any], **request: Any) -> list[bytes]:
    for _ in range(2):  # a name that was seen before is not looked at again
        theirs, theirs_end = answered(THEIRS, status, list(headers), chunks, **request)
        ours, ours_end = answered(response.Response, status, list(headers), chunks, **request)
        assert b"".join(ours) == b"".join(theirs)
        assert ours_end == theirs_end
    return ours


LENGTH = ("Content-Length", "5")
JSON = ("Content-Type", "application/json")


def test_a_whole_answer_is_one_write() -> None:
    sent = same("200 OK", [JSON, ("X-Request-ID", "r" * 36), LENGTH], [b"hello"])
    assert len(sent) == 1
    assert sent[0].endswith(b"\r\n\r\nhello")


@pytest.mark.parametrize(
    ("status", "headers", "chunks", "request_"),
    [
        ("200 OK", [JSON], [b"he", b"llo"], {}),
        ("200 OK", [JSON], [b"he", b"", b"llo"], {"version": (1, 0)}),
        ("200 OK", [LENGTH], [b"he", b"llo"], {}),
        ("200 OK", [LENGTH], [b"hello", b"more"], {}),
        ("200 OK", [LENGTH], [b"too long a body"], {}),
        ("200 OK", [LENGTH], [b"he"], {}),
        ("200 OK", [LENGTH], [], {}),
        ("200 OK", [LENGTH], [bytearray(b"hello")], {}),
        ("200 OK", [LENGTH], ["hello"], {}),
        ("200 OK", [("content-length", "0")], [b""], {}),
        ("200 OK", [LENGTH], [b"hello"], {"method": "HEAD"}),
        ("204 No Content", [LENGTH], [b"hello"], {}),
        ("304 Not Modified", [LENGTH], [b"hello"], {}),
        ("200 OK", [LENGTH], [b"hello"], {"close": True}),
        ("200 OK", [LENGTH], [b"hello"], {"version": (1, 0)}),
        ("101 Switching", [("Upgrade", "websocket"), ("Connection", "upgrade")], [], {}),
        ("200 OK", [("Connection", "close"), ("Keep-Alive", "5"), LENGTH], [b"hello"], {}),
        ("200 OK", [("TE", "trailers"), ("transfer-encoding", "chunked"), LENGTH], [b"hello"], {}),
        ("200 OK", [("X", " \t kept \t"), ("X", "twice"), LENGTH], [b"hello"], {}),
        ("200 OK", [("X", "\u00e9"), LENGTH], [b"hello"], {}),
        ("200 OK", [("X", "\u20ac"), LENGTH], [b"hello"], {}),
        ("200 OK", [("X", "a\r\nSet-Cookie: forged"), LENGTH], [b"hello"], {}),
        ("200 OK", [("X\r\nY", "a"), LENGTH], [b"hello"], {}),
        ("200 OK", [("", "a"), LENGTH], [b"hello"], {}),
        ("200 OK", [("X", None), LENGTH], [b"hello"], {}),
        ("200 OK", [(b"X", "a"), LENGTH], [b"hello"], {}),
        ("200 OK", [("X", "a", "b"), LENGTH], [b"hello"], {}),
        ("200 OK", [("Content-Length", "five")], [b"hello"], {}),
        ("200 OK\r\nX: y", [LENGTH], [b"hello"], {}),
        ("nonsense", [LENGTH], [b"hello"], {}),
    ],
)
def test_the_bytes_are_gunicorn_s_own(
    status: str, headers: list[Any], chunks: list[Any], request_: dict[str, Any]
) -> None:
    same(status, headers, chunks, **request_)


names = st.sampled_from(["X", "x-y", "Content-Type", "content-Length", "Connection", "Trailer"])
texts = st.text(st.characters(max_codepoint=0x2FF), max_size=8)


@given(
    st.lists(st.tuples(names | texts, texts | st.integers(0, 9).map(str)), max_size=4),
    st.lists(st.binary(max_size=6), max_size=3),
    st.sampled_from(["GET", "HEAD"]),
    st.sampled_from([(1, 0), (1, 1)]),
)
@example([("Content-Length", "3")], [b"abc"], "GET", (1, 1))
def test_any_headers_and_chunks(
    headers: list[Any], chunks: list[bytes], method: str, version: tuple[int, int]
) -> None:
    same("200 OK", headers, chunks, method=method, version=version)


def test_many_names_do_not_fill_the_memory() -> None:
    for number in range(2_000):
        same("200 OK", [(f"X-{number}", "a"), LENGTH], [b"hello"])
    assert response._is_plain.cache_info().currsize <= 512
