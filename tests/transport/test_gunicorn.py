"""Bodies over real sockets, under real gunicorn workers with settings that are not ours."""

import contextlib
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from falconkit.testing import wait_until
from tests.services import free_port

ROOT = Path(__file__).parents[2]
SERVICE = """
import msgspec
from falconkit.settings import Settings
from falconkit.transport import http

class Add(msgspec.Struct):
    v: int

def add(ctx, request: Add) -> Add:
    return request

app = http.app(settings=Settings(body_timeout=1.0, max_body=200_000))
app.post("/add", add)
"""
GOOD = b'POST /add HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n{"v":1}'
PROMISED = b"POST /add HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
CHUNKED = b"POST /add HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module", params=["gthread", "sync"])
def port(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "service.py").write_text(SERVICE)
    number = free_port()
    threads = ("--threads", "4") if request.param == "gthread" else ()
    command = [
        *(str(Path(sys.executable).parent / "gunicorn"), "--chdir", str(folder)),
        *("--bind", f"127.0.0.1:{number}", "--worker-class", request.param, *threads),
        *("--keep-alive", "30", "service:app"),
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
    try:
        wait_until(lambda: connect(number), what="gunicorn").close()
        yield number
    finally:
        process.terminate()
        process.wait(30)


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def answer(client):
    """Return status, headers and body of one answer, by its Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = client.recv(65536)
        assert piece, data
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines[1:])}
    while len(body) < int(headers["content-length"]):
        body += client.recv(65536)
    return int(lines[0].split()[1]), headers, body


def call(port, *data, end=False):
    with connect(port) as client:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for each in data:
                client.sendall(each)
        if end:
            client.shutdown(socket.SHUT_WR)
        return answer(client)


def test_a_call_is_answered(port):
    assert call(port, GOOD)[::2] == (200, b'{"v":1}')


def test_a_chunked_body_is_read(port):
    body = b'3\r\n{"v\r\n4\r\n":2}\r\n0\r\n\r\n'
    assert call(port, CHUNKED, body)[::2] == (200, b'{"v":2}')


@pytest.mark.parametrize(
    ("data", "end", "status", "words"),
    [
        ((PROMISED, b'{"'), False, 408, b"the body of 100 bytes did not arrive in 1 seconds"),
        ((PROMISED,), False, 408, b"the body of 100 bytes did not arrive in 1 seconds"),
        ((PROMISED, b'{"'), True, 408, b"the body of 100 bytes ended too soon"),
        ((CHUNKED, b'7\r\n{"'), False, 408, b"the body did not arrive in 1 seconds"),
        ((CHUNKED, b'7\r\n{"'), True, 408, b"the body ended too soon"),
        ((CHUNKED, b"zz\r\n"), False, 400, b"the body's chunks cannot be read"),
        (
            (PROMISED.replace(b"100", b"200001"), b"x"),
            False,
            413,
            b"the body is larger than 200000 bytes",
        ),
        (
            (CHUNKED, (b"8000\r\n" + b" " * 0x8000 + b"\r\n") * 7, b"0\r\n\r\n"),
            False,
            413,
            b"the body is larger than 200000 bytes",
        ),
        ((PROMISED.replace(b"/add", b"/nowhere"), b"x"), False, 404, b"not found"),
    ],
)
def test_a_bad_body_is_answered_and_its_connection_closed(port, data, end, status, words):
    got, headers, body = call(port, *data, end=end)
    assert (got, body) == (status, words)
    assert headers["connection"] == "close"
    assert call(port, GOOD)[0] == 200


def test_a_body_that_trickles_is_cut_off_too(port):
    with connect(port) as client:
        client.sendall(PROMISED)
        client.settimeout(0.1)
        for _ in range(80):
            with contextlib.suppress(TimeoutError):
                if client.recv(1, socket.MSG_PEEK):
                    break
            with contextlib.suppress(OSError):
                client.sendall(b" ")
        client.settimeout(30)
        status, _, body = answer(client)
    assert (status, body) == (408, b"the body of 100 bytes did not arrive in 1 seconds")


def test_many_silent_clients_do_not_keep_the_others_out_one_after_another(port):
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(port)) for _ in range(16)]
        for client in silent:
            client.sendall(PROMISED + b'{"')
        assert call(port, GOOD)[0] == 200
        assert [answer(client)[0] for client in silent] == [408] * 16
