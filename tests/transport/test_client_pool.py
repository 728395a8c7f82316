"""Connections: opened late, never inherited, verified, closed."""

import os
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from urllib3.exceptions import ClosedPoolError

from falconkit import Context
from falconkit.errors import ConfigurationError, UpstreamUnavailable
from falconkit.testing import wait_until
from falconkit.testing.peer import Peer, answer, silence
from falconkit.transport.http.client import Client
from falconkit.transport.http.client_pool import Origin, Pool

CTX = Context()
LOOPBACK = Path(__file__).parent / "tls" / "loopback.pem"


# Newer interpreters warn of a fork beside threads; gunicorn forks, and that is what is tested.
forks = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def sockets():
    """The sockets this process holds."""
    found = []
    for each in Path("/proc/self/fd").iterdir():
        try:
            target = os.readlink(each)
        except OSError:
            continue
        if target.startswith("socket:"):
            found.append(target)
    return sorted(found)


@pytest.fixture
def served_by():
    return ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)


@pytest.fixture
def tls(served_by):
    served_by.load_cert_chain(LOOPBACK)
    return served_by


def test_nothing_is_open_before_the_first_call_and_after_close():
    with Peer(*[answer(200, b"1")] * 3) as peer:
        before = sockets()
        threads = threading.active_count()
        pool = Pool()
        client = Client("GET", peer.url, pool=pool)
        assert sockets() == before
        assert client(CTX, None) == 1
        assert len(sockets()) > len(before)
        pool.close()
    assert len(sockets()) < len(before)
    assert threading.active_count() < threads


@forks
def test_a_child_opens_its_own_and_leaves_the_parents_alone():
    with Peer(*[answer(200, b"1")] * 3) as peer:
        client = Client("GET", peer.url, returns=int)
        assert client(CTX, None) == 1
        child = os.fork()
        if child == 0:
            try:
                os._exit(client(CTX, None))
            finally:
                os._exit(99)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        assert client(CTX, None) == 1
        assert peer.connections == 2
        assert len(peer.requests) == 3
        client.close()


@forks
def test_a_child_of_a_closed_client_has_a_closed_client():
    client = Client("GET", "http://127.0.0.1:9/")
    client.close()
    child = os.fork()
    if child == 0:
        try:
            client(CTX, None)
        except UpstreamUnavailable:
            os._exit(7)
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_a_call_in_flight_ends_after_close_and_its_connection_with_it():
    sent, go_on = threading.Event(), threading.Event()

    def slowly(peer, connection):
        sent.set()
        go_on.wait(5.0)
        connection.sendall(answer(200, b"1"))

    with Peer(slowly) as peer:
        client = Client("GET", peer.url)
        got = []
        thread = threading.Thread(target=lambda: got.append(client(CTX, None)))
        thread.start()
        assert sent.wait(5.0)
        held = len(sockets())
        client.close()
        go_on.set()
        thread.join(5.0)
        assert got == [1]
        # The peer closes its end when the client has closed the other.
        wait_until(lambda: len(sockets()) == held - 2, what="both ends to close")


def test_idle_connections_are_bounded_and_calls_are_not():
    everybody = threading.Barrier(4)

    def together(peer, connection):
        everybody.wait(60.0)
        connection.sendall(answer(200, b"1"))

    with Peer(*[together] * 4) as peer:
        before = len(sockets())
        client = Client("GET", peer.url, pool=(pool := Pool(size=2)))
        threads = [threading.Thread(target=client, args=(CTX, None)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(5.0)
        assert len(peer.requests) == 4
        assert pool.at(Origin("http", "127.0.0.1", peer.port)).pool.qsize() == 2
        pool.close()
        wait_until(lambda: len(sockets()) == before, what="both ends to close")


@pytest.mark.parametrize("size", [0, -1])
def test_a_pool_of_nothing_is_refused(size):
    with pytest.raises(ConfigurationError, match=f"size={size}"):
        Pool(size=size)


def test_one_pool_an_origin_whoever_comes_first():
    pool = Pool()
    origin = Origin("http", "127.0.0.1", 9)
    barrier, got = threading.Barrier(8), []

    def ask():
        barrier.wait()
        got.append(pool.at(origin))

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, got))) == 1
    assert pool.at(Origin("http", "127.0.0.1", 10)) is not got[0]
    pool.close()
    with pytest.raises(ClosedPoolError):
        pool.at(origin)


def test_proxies_of_the_environment_are_not_asked(monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with Peer(answer(200, b"1")) as peer:
        client = Client("GET", peer.url)
        assert client(CTX, None) == 1
        assert peer.requests[0].target == "/"
        client.close()


def test_https_verifies_by_what_it_was_given(tls):
    with Peer(answer(200, b"1"), answer(200, b"2"), tls=tls) as peer:
        trusted = ssl.create_default_context(cafile=LOOPBACK)
        pool = Pool(tls=trusted)
        client = Client("POST", f"{peer.url}/add", pool=pool)
        assert [client(CTX, 1), client(CTX, 1)] == [1, 2]
        assert peer.connections == 1
        pool.close()


def test_a_server_that_cannot_be_verified_is_not_asked(tls):
    with Peer(answer(200, b"1"), tls=tls) as peer:
        client = Client("POST", peer.url, service="billing")
        with pytest.raises(UpstreamUnavailable, match=r"billing cannot be reached .*CERTIFICATE"):
            client(CTX, 1)
        assert peer.requests == []
        client.close()


def test_a_server_that_speaks_no_tls_is_not_asked():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def hello():
            connection, _ = listener.accept()
            with connection:
                connection.recv(1024)
                connection.sendall(b"HTTP/1.1 400 no\r\n\r\n")

        thread = threading.Thread(target=hello)
        thread.start()
        client = Client("POST", f"https://127.0.0.1:{port}")
        with pytest.raises(UpstreamUnavailable, match="TLS"):
            client(CTX, 1)
        client.close()
        thread.join(5.0)


def test_a_handshake_that_does_not_end_is_bounded():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Client("POST", f"https://127.0.0.1:{listener.getsockname()[1]}", timeout=0.1)
        with pytest.raises(UpstreamUnavailable):
            client(CTX, 1)
        client.close()


def test_a_late_answer_over_tls_is_bounded_too(tls):
    with Peer(silence(b"HTTP/1.1 200 OK\r\n"), tls=tls) as peer:
        pool = Pool(tls=ssl.create_default_context(cafile=LOOPBACK))
        client = Client("POST", peer.url, pool=pool, timeout=0.5, idempotent=True)
        with pytest.raises(Exception, match=r"did not answer in 0\.5 s"):
            client(CTX, 1)
        pool.close()


def test_making_a_client_imports_but_opens_nothing():
    script = (
        "import socket, threading\n"
        "def refuse(*a, **k): raise AssertionError('a socket was made')\n"
        "from falconkit.transport.http.client import Client\n"
        "socket.socket.__init__ = refuse\n"
        "Client('GET', 'http://users:8000/{id}')\n"
        "Client('GET', 'https://users:8000/{id}')\n"
        "assert threading.active_count() == 1\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)


def test_the_pool_without_a_timeout_waits_as_urllib3_does():
    pool = Pool()
    with Peer(answer(200, b"1")) as peer:
        found = pool.at(Origin("http", "127.0.0.1", peer.port))
        assert found.urlopen("GET", "/", timeout=None).data == b"1"
        pool.close()


def test_a_pool_of_one_is_enough():
    with Peer(answer(200), answer(200)) as peer:
        client = Client("GET", peer.url, pool=(pool := Pool(size=1)))
        client(CTX, None)
        client(CTX, None)
        assert peer.connections == 1
        pool.close()


@forks
def test_a_child_closes_its_copies_of_the_parents_connections():
    with Peer(answer(200), answer(200)) as peer:
        client = Client("GET", peer.url, pool=(pool := Pool()))
        client(CTX, None)
        child = os.fork()
        if child == 0:
            try:
                before = len(sockets())
                pool.at(Origin("http", "127.0.0.1", peer.port))
                os._exit(before - len(sockets()))
            finally:
                os._exit(99)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1
        client(CTX, None)
        assert peer.connections == 1
        pool.close()
