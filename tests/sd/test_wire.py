"""The connection to a registry, when the registry behaves badly."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

from falconkit.sd import wire
from falconkit.sd.connection import Connection
from falconkit.sd.stop import Stop
from falconkit.sd.wire import Wire
from falconkit.testing import wait_until
from falconkit.testing.peer import Peer, answer, hang_up, silence
from tests.dripping import endless, timing
from tests.sd.servers import Silent
from tests.services import free_port

LOOPBACK = Path(__file__).parent.parent / "transport" / "tls" / "loopback.pem"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


@pytest.fixture
def clock(monkeypatch):
    return timing(monkeypatch, wire)


@contextmanager
def full():
    """Yield the port of a listener whose queue is full: who connects hears nothing."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = []
        try:
            for _ in range(16):
                each = socket.socket()
                waiting.append(each)
                each.setblocking(False)
                each.connect_ex(listener.getsockname())
            yield listener.getsockname()[1]
        finally:
            for each in waiting:
                each.close()


@contextmanager
def asked(url, stop, *, first=None, **options):
    """Ask in another thread; yields it, the wire, and what was raised. ``first`` is asked here."""
    asking, raised = Wire(url, timeout=600.0, stop=stop, **options), []
    if first is not None:
        assert asking.ask("GET", "/").body == first

    def run():
        try:
            asking.ask("GET", "/")
        except OSError as error:
            raised.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread, asking, raised
    finally:
        stop.set()
        thread.join(60)
        asking.close()
        assert not thread.is_alive()


@pytest.mark.parametrize("kept", [False, True])
def test_an_answer_that_drips_is_lost_when_its_time_is_over(kept, clock):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n"
    with Peer(answer(200, b"1"), endless(b"x", head, clock), endless(b"x", head, clock)) as peer:
        asking = Wire(peer.url, timeout=60.0, patience=30.0)
        assert asking.ask("GET", "/").body == b"1"
        if not kept:
            asking.close()
        with pytest.raises(OSError, match=r"127\.0\.0\.1.*timed out"):
            asking.ask("GET", "/")
        assert len(peer.requests) == 2
        asking.close()


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        (b"HTTP/1.1 200 ", b"x"),
        (b"HTTP/1.1 200 OK\r\n", b"X-A: b\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (CHUNKED, chunk(b"x")),
        (CHUNKED, b"0"),
        (CHUNKED + b"0\r\n", b"X-A: b\r\n"),
    ],
    ids=["status", "headers", "interim", "chunks", "chunk size", "trailers"],
)
def test_no_part_of_an_answer_is_waited_for_beyond_its_time(first, piece, clock):
    with Peer(endless(piece, first, clock)) as peer:
        asking = Wire(peer.url, timeout=60.0, patience=1.0)
        with pytest.raises(OSError, match=r"127\.0\.0\.1.*(timed out|more than 100 headers)"):
            asking.ask("GET", "/")
        asking.close()


def test_a_line_that_drips_is_lost_when_its_time_is_over(clock):
    begin = threading.Event()
    with Peer(endless(chunk(b"x"), CHUNKED + chunk(b"one\ntwo\nth"), clock, begin)) as peer:
        asking = Wire(peer.url, timeout=60.0)
        lines = asking.lines("POST", "/", {}, wait=60.0)
        assert [next(lines), next(lines)] == [b"one\n", b"two\n"]
        begin.set()
        with pytest.raises(OSError, match="timed out"):
            next(lines)
        assert asking._connection is None


@pytest.mark.parametrize("half", [b"", b"tw"])
def test_nothing_for_a_while_is_no_failure_whatever_was_left_before(half):
    with Peer(silence(CHUNKED + chunk(b"one\n" + half))) as peer:
        asking = Wire(peer.url, timeout=60.0)
        lines = asking.lines("POST", "/", {}, wait=60.0)
        assert next(lines) == b"one\n"
        asking._connection.timed._pause = 0.02
        assert list(lines) == []
        assert asking._connection is None


def test_lines_that_come_in_time_are_taken_for_however_long(clock):
    with Peer(endless(chunk(b"one\n"), CHUNKED)) as peer:
        asking = Wire(peer.url, timeout=60.0)
        lines = asking.lines("POST", "/", {}, wait=60.0)
        for _ in range(20):
            assert next(lines) == b"one\n"
            clock.advance(100.0)
        lines.close()
        asking.close()


def test_a_line_without_an_end_is_lost_at_4_mib():
    with Peer(endless(chunk(b"x" * 65536), CHUNKED)) as peer:
        lines = Wire(peer.url, timeout=60.0).lines("POST", "/", {}, wait=60.0)
        with pytest.raises(OSError, match="over 4 MiB without a line's end"):
            next(lines)


def test_an_answer_without_an_end_is_lost_when_it_is_too_long(monkeypatch):
    monkeypatch.setattr(wire, "_LARGEST", 1 << 20)
    with Peer(endless(chunk(b"x" * 65536), CHUNKED)) as peer:
        asking = Wire(peer.url, timeout=60.0)
        with pytest.raises(OSError, match="over 1048576 bytes"):
            asking.ask("GET", "/")


def test_an_errors_words_are_not_waited_for_beyond_their_time(clock):
    head = b"HTTP/1.1 500 No\r\nContent-Length: 900000\r\n\r\n"
    with Peer(endless(b"x", head, clock)) as peer:
        asking = Wire(peer.url, timeout=60.0)
        with pytest.raises(OSError, match="timed out"):
            next(asking.lines("POST", "/", {}, wait=1.0))
        assert asking._connection is None


def test_a_handshake_that_hangs_is_broken_off():
    stop = Stop()
    silent = Silent(free_port())
    try:
        with asked(f"https://127.0.0.1:{silent._stream.getsockname()[1]}", stop) as (
            thread,
            _,
            raised,
        ):
            wait_until(silent.came.is_set)
            stop.set()
            thread.join(60)
            assert raised
    finally:
        silent.close()


def test_a_connect_that_hangs_is_broken_off():
    stop = Stop()
    with full() as port, asked(f"http://127.0.0.1:{port}", stop) as (thread, asking, raised):
        wait_until(lambda: asking._connection is not None and asking._connection.sock is not None)
        stop.set()
        thread.join(60)
        assert raised


def test_an_answer_that_is_waited_for_is_broken_off_within_tls():
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(LOOPBACK)
    trusted = ssl.create_default_context(cafile=LOOPBACK)
    stop = Stop()
    with (
        Peer(answer(200, b"1"), silence(b"HTTP/1.1 200 OK\r\n"), tls=served) as peer,
        asked(peer.url, stop, first=b"1", tls=trusted) as (thread, _, raised),
    ):
        wait_until(lambda: len(peer.requests) == 2)
        stop.set()
        thread.join(60)
        assert raised
        assert len(peer.requests) == 2


def test_a_connect_has_the_timeout_and_so_has_a_handshake():
    silent = Silent(free_port())
    with full() as port:
        for url in (
            f"http://127.0.0.1:{port}",
            f"https://127.0.0.1:{silent._stream.getsockname()[1]}",
        ):
            with pytest.raises(OSError, match="timed out"):
                Wire(url, timeout=0.1).ask("GET", "/")
    silent.close()


def test_what_was_told_to_stop_opens_nothing_more():
    stop = Stop()
    stop.set()
    with Peer(answer(200, b"1")) as peer:
        with pytest.raises(OSError, match="it was told to stop"):
            Wire(peer.url, stop=stop).ask("GET", "/")
        assert peer.connections == 0


def test_of_several_addresses_each_has_its_share_of_the_time(monkeypatch):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", n)) for n in (1, 2, 3)]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: list(found))
    shares = []

    class Refused(Connection):
        def _reach(self, sock, address, seconds):
            sock.close()
            shares.append((address[1], seconds))
            raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        Refused("several", 80, timeout=300.0).connect()
    assert [port for port, _ in shares] == [1, 2, 3]
    seconds = [each for _, each in shares]
    assert seconds == sorted(seconds)
    assert seconds[0] <= 100.0


def test_a_kept_connection_that_has_ended_is_opened_anew():
    with Peer(answer(200, b"1"), answer(200, b"2")) as peer:
        asking = Wire(peer.url, timeout=30.0)
        asking.ask("GET", "/")
        peer._open[0].shutdown(socket.SHUT_RDWR)
        assert asking.ask("GET", "/").body == b"2"
        assert peer.connections == 2
        asking.close()


@pytest.mark.parametrize("sent", [b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 200 OK\r\nServer: x\r\n"])
def test_an_answer_that_ends_in_its_head_is_no_success(sent):
    with Peer(hang_up(sent)) as peer:
        asking = Wire(peer.url, timeout=60.0)
        with pytest.raises(OSError, match="IncompleteRead"):
            asking.ask("PUT", "/")


def test_an_answer_without_a_length_ends_with_the_connection():
    with Peer(hang_up(b"HTTP/1.1 200 OK\r\n\r\n[]")) as peer:
        asking = Wire(peer.url, timeout=60.0)
        assert asking.ask("GET", "/").json() == []
        asking.close()
