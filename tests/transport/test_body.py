"""How a body is read: bounded in size and time, with and without a socket."""

import gc
import io
import os
import socket
import threading
import weakref

import pytest

from falconkit.errors import BodyTimeout, BodyTooLarge, ConfigurationError, DecodeError
from falconkit.testing import ManualClock, wait_until
from falconkit.transport.http import Request
from falconkit.transport.http.cutoff import Cutoff, cut, silence
from falconkit.transport.http.request import BodyLimits
from tests.transport.serving import environ


class Pieces:
    """A server's input that hands out a body in pieces, and remembers what was asked."""

    def __init__(self, *pieces):
        self.pieces = list(pieces)
        self.asked = []

    def read(self, size):
        self.asked.append(size)
        if not self.pieces:
            return b""
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        if callable(piece):
            return piece()
        assert len(piece) <= size
        return piece


def request(source, length=None, limits=None, **more):
    env = environ(**{"wsgi.input": source, **more})
    if length is not None:
        env["CONTENT_LENGTH"] = str(length)
    return Request(env, limits=limits or BodyLimits())


def chunked(source, **more):
    return request(
        source, HTTP_TRANSFER_ENCODING="chunked", **{"wsgi.input_terminated": True, **more}
    )


def test_a_body_is_read_once():
    source = Pieces(b"hello")
    req = request(source, 5)
    assert not req.was_read()
    assert req.read_body() == req.read_body() == b"hello"
    assert req.was_read()
    assert source.asked == [5]
    assert not req.unfinished


@pytest.mark.parametrize("length", ["", "0", None])
def test_no_body_is_empty_and_nothing_is_read(length):
    source = Pieces(b"next request")
    req = request(source, length)
    assert req.read_body() == b""
    assert source.asked == []
    assert not req.has_body()


def test_a_body_in_pieces_is_put_together():
    assert request(Pieces(b"he", b"l", b"lo"), 5).read_body() == b"hello"


def test_a_large_body_is_read_in_steps():
    size = 200_000
    source = io.BytesIO(b"x" * size + b"next request")
    assert request(source, size).read_body() == b"x" * size
    assert source.read() == b"next request"


@pytest.mark.parametrize("size", [5, 6])
def test_the_announced_size_is_bounded_before_reading(size):
    source = Pieces(b"x" * size)
    req = request(source, size, BodyLimits(5))
    if size == 5:
        assert req.read_body() == b"xxxxx"
        return
    with pytest.raises(BodyTooLarge) as caught:
        req.read_body()
    assert caught.value.limit == 5
    assert source.asked == []
    assert req.unfinished


@pytest.mark.parametrize("length", ["9" * 18, "9" * 19, "9" * 5000])
def test_an_absurd_length_is_too_large(length):
    with pytest.raises(BodyTooLarge):
        request(Pieces(), length).read_body()


@pytest.mark.parametrize("length", ["-1", "+5", "5.0", "0x5", "five", " 5", "5_0", "\u0665"])
def test_a_length_that_is_no_number_is_refused(length):
    req = request(Pieces(b"hello"), length)
    with pytest.raises(DecodeError, match="Content-Length"):
        req.read_body()
    assert req.unfinished


def test_a_chunked_body_is_read_to_its_end():
    assert chunked(Pieces(b"he", b"llo")).read_body() == b"hello"


@pytest.mark.parametrize("size", [5, 6, 1000])
def test_a_chunked_body_is_bounded_while_reading(size):
    source = io.BytesIO(b"x" * size)
    req = chunked(source, limits=BodyLimits(5))
    if size == 5:
        assert req.read_body() == b"xxxxx"
        return
    with pytest.raises(BodyTooLarge):
        req.read_body()
    assert source.tell() == 6
    assert req.unfinished


def test_a_server_that_does_not_end_the_stream_is_not_waited_for():
    source = Pieces(b"never")
    assert request(source, HTTP_TRANSFER_ENCODING="chunked").read_body() == b""
    assert source.asked == []


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), OSError("gone")])
@pytest.mark.parametrize("before", [(), (b"he",)])
def test_a_connection_that_breaks_is_a_408(error, before):
    req = request(Pieces(*before, error), 5)
    with pytest.raises(BodyTimeout, match="the body of 5 bytes ended too soon"):
        req.read_body()
    assert req.unfinished


@pytest.mark.parametrize("before", [(), (b"he",)])
def test_a_body_shorter_than_it_said_is_a_408(before):
    req = request(Pieces(*before, b""), 5)
    with pytest.raises(BodyTimeout, match="the body of 5 bytes ended too soon"):
        req.read_body()
    assert req.unfinished


def test_broken_chunks_are_a_400():
    req = chunked(Pieces(b"he", ValueError("bad chunk")))
    with pytest.raises(DecodeError, match="chunks") as caught:
        req.read_body()
    assert type(caught.value) is DecodeError
    assert req.unfinished


def test_limits_that_cannot_be_are_refused():
    for given in ({"max_body": -1}, {"timeout": 0.0}):
        with pytest.raises(ConfigurationError, match=r"MAX_BODY=.* BODY_TIMEOUT="):
            BodyLimits(**given)


def test_falcons_own_attributes_are_there_and_the_rest_is_not():
    req = request(Pieces(), method="GET", QUERY_STRING="a=1", HTTP_ACCEPT="text/plain")
    req.context.user = "ann"
    assert (req.method, req.path, req.params) == ("GET", "/add", {"a": "1"})
    assert (req.context.user, req.accept) == ("ann", "text/plain")
    assert req.path_params == {}
    with pytest.raises(AttributeError, match="'Request' object has no attribute 'nothing'"):
        req.nothing  # noqa: B018


@pytest.fixture
def connection():
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname(), timeout=10)
        served, _ = server.accept()
        with client, served:
            served.settimeout(10)
            yield client, served


class Reader:
    """As gunicorn reads: one ``read`` waits for all that was asked for."""

    def __init__(self, served):
        self.served = served

    def read(self, size):
        have = b""
        while len(have) < size:
            piece = self.served.recv(size - len(have))
            if not piece:
                break
            have += piece
        return have


def test_a_body_that_comes_in_time_is_left_alone(connection):
    client, served = connection
    clock = ManualClock()
    limits = BodyLimits(timeout=10.0, clock=clock)
    client.sendall(b"hello")
    req = request(Reader(served), 5, limits, **{"gunicorn.socket": served})
    assert req.read_body() == b"hello"
    clock.advance(100)
    limits.cutoff.sweep()
    client.sendall(b"more")
    assert served.recv(4) == b"more"
    limits.cutoff.close()


def test_a_body_that_trickles_is_cut_off_in_time(connection):
    client, served = connection
    clock = ManualClock()
    limits = BodyLimits(timeout=10.0, clock=clock)
    client.sendall(b"he")
    req = request(Reader(served), 5, limits, **{"gunicorn.socket": served})
    clock_runs = threading.Timer(0.02, clock.advance, (10.0,))
    clock_runs.start()
    with pytest.raises(BodyTimeout, match="the body of 5 bytes did not arrive in 10 seconds"):
        req.read_body()
    clock_runs.join()
    assert req.unfinished
    served.sendall(b"408")
    assert client.recv(3) == b"408"
    limits.cutoff.close()


def test_silence_counts_from_the_last_byte(connection):
    client, served = connection
    client.sendall(b"x")
    assert wait_until(lambda: select_readable(served)) is not False
    assert silence(served) == 0.0, "what waits to be read is no silence"
    assert served.recv(1) == b"x"
    if not hasattr(socket, "TCP_INFO"):
        pytest.skip("only Linux tells")
    wait_until(lambda: silence(served) >= 0.02)
    cutoff = Cutoff(0.02, tick=60.0, clock=ManualClock())
    cutoff.guard(served)
    cutoff.sweep()
    assert not cutoff.release(served)
    assert served.recv(1) == b""
    cutoff.close()


def select_readable(served):
    import select

    return bool(select.select([served], [], [], 0)[0])


def test_where_nobody_can_tell_there_is_no_silence():
    left, right = socket.socketpair()
    with left, right:
        assert silence(left) == 0.0
    assert silence(left) == 0.0


def test_a_broken_body_with_a_socket_says_which_way(connection):
    client, served = connection
    limits = BodyLimits(clock=ManualClock())
    client.sendall(b"he")
    client.shutdown(socket.SHUT_WR)
    req = request(Reader(served), 5, limits, **{"gunicorn.socket": served})
    with pytest.raises(BodyTimeout, match="ended too soon"):
        req.read_body()
    limits.cutoff.close()


def test_cutting_a_closed_socket_is_nothing(connection):
    _, served = connection
    served.close()
    cut(served)


def test_the_thread_starts_on_use_and_stops_on_close(connection):
    _, served = connection
    cutoff = Cutoff(tick=0.01)
    assert not threads_of(cutoff)
    cutoff.guard(served)
    (thread,) = threads_of(cutoff)
    assert thread.daemon
    assert cutoff.release(served)
    cutoff.close()
    thread.join(60)
    assert not thread.is_alive()
    cutoff.guard(served)
    assert threads_of(cutoff)
    cutoff.release(served)
    cutoff.close()


def test_the_thread_ends_when_there_was_nothing_for_a_while(connection):
    _, served = connection
    cutoff = Cutoff(tick=0.001)
    cutoff.guard(served)
    assert cutoff.release(served)
    wait_until(lambda: not threads_of(cutoff))
    cutoff.guard(served)
    assert threads_of(cutoff)
    cutoff.release(served)
    cutoff.close()


def threads_of(cutoff):
    return [t for t in (cutoff._thread,) if t is not None and t.is_alive()]


def test_a_forked_child_forgets_the_parents_sockets_and_thread(connection):
    _, served = connection
    cutoff = Cutoff(tick=0.01)
    cutoff.guard(served)
    child = os.fork()
    if child == 0:
        os._exit(0 if not cutoff.release(served) and not threads_of(cutoff) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert cutoff.release(served)
    cutoff.close()


def test_the_fork_handler_keeps_nothing_alive():
    cutoff = Cutoff()
    gone = weakref.ref(cutoff)
    del cutoff
    gc.collect()
    assert gone() is None
