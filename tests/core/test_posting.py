"""What backends are told over HTTP."""

from __future__ import annotations

import pytest

from falconkit.posting import Posting, timed_session
from falconkit.testing.peer import Peer, answer, hang_up
from tests.dripping import endless, timing

FLOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 900000000\r\n\r\n"


@pytest.fixture
def clock(monkeypatch):
    return timing(monkeypatch)


def post(url):
    return Posting(url, {"X-A": "b"}, timeout=60.0)


def test_a_connection_is_kept():
    with Peer(answer(202), answer(503, b"full"), answer(200, b"x" * 65536)) as peer:
        posting = post(peer.url)
        assert posting.send(b"1") == (202, b"")
        assert posting.send(b"2") == (503, b"full")
        assert posting.send(b"3") == (200, b"x" * 65536)
        assert [(each.method, each.body) for each in peer.requests] == [
            ("POST", b"1"),
            ("POST", b"2"),
            ("POST", b"3"),
        ]
        assert peer.requests[0].headers["x-a"] == "b"
        assert peer.connections == 1
        posting.close()
        posting.close()


@pytest.mark.parametrize("first", [b"HTTP/1.1 200 ", b"HTTP/1.1 200 OK\r\nX-A: ", FLOOD])
def test_an_answer_that_drips_is_given_up(first, clock):
    with Peer(endless(b"x", first, clock), answer(200, b"1")) as peer:
        posting = post(peer.url)
        with pytest.raises(OSError, match="timed out"):
            posting.send(b"1")
        assert posting.send(b"2") == (200, b"1")
        posting.close()


def test_of_a_long_answer_the_beginning_is_read_and_the_rest_is_no_next_answer():
    with Peer(endless(b"x" * 65536, FLOOD), answer(200, b"1")) as peer:
        posting = post(peer.url)
        assert posting.send(b"1") == (200, b"x" * 65536)
        assert posting.send(b"2") == (200, b"1")
        posting.close()


def test_one_who_is_away_is_an_oserror():
    with Peer(hang_up()) as peer:
        posting = post(peer.url)
        with pytest.raises(OSError, match="Connection aborted"):
            posting.send(b"1")
        posting.close()
    with pytest.raises(OSError, match="refused"):
        post(peer.url).send(b"2")


@pytest.mark.parametrize("proxied", [False, True])
def test_a_session_gives_up_an_answer_that_drips(proxied, clock):
    with Peer(endless(b"x", FLOOD, clock)) as peer, timed_session() as session:
        where = "http://collector.invalid" if proxied else peer.url
        proxies = {"http": peer.url} if proxied else {}
        with pytest.raises(OSError, match="timed out"):
            session.post(where, b"1", timeout=60.0, proxies=proxies)


def test_a_session_that_brings_credentials_is_left_to_opentelemetry(monkeypatch):
    monkeypatch.setenv("OTEL_PYTHON_EXPORTER_OTLP_HTTP_TRACES_CREDENTIAL_PROVIDER", "mine")
    assert timed_session() is None
