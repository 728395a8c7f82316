"""The runner that tests start gunicorn with."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess

import pytest

from falconkit.testing.gunicorn import Gunicorn, environment
from tests.server.serving import APP, PLAIN, ROOT, Held, gone, until
from tests.services import require


def test_what_does_not_start_tells_what_it_printed():
    with pytest.raises(AssertionError, match=r"(?s)ended with status 4.*COLOUR='loud'"):
        Gunicorn("tests.server.misconfigured:app", cwd=ROOT).__enter__()


def test_what_does_not_answer_in_time_is_killed(held: Held):
    held.hold("import")
    server = held.serve(timeout=1.0)
    with pytest.raises(AssertionError, match="not after 1 s"):
        server.__enter__()
    held.let_go("import")
    assert gone(server.pid)
    until(lambda: all(map(gone, held.waiting("import"))))


def test_a_taken_port_is_exchanged_for_another(held: Held, monkeypatch: pytest.MonkeyPatch):
    server = held.serve(PLAIN)
    tried = []
    start = server.start

    def first_say_taken():
        tried.append(server.port)
        start()
        if len(tried) == 1:
            monkeypatch.setattr(server, "_is_up", fail)
            monkeypatch.setattr(server, "output", lambda: "Connection in use: ('127.0.0.1', 1)")
        else:
            monkeypatch.undo()

    def fail():
        raise AssertionError("gunicorn ended with status 1")

    monkeypatch.setattr(server, "start", first_say_taken)
    with server:
        assert server.get("/")[0] == 200
    assert len(tried) == 2


def test_nothing_is_left_when_a_test_fails(held: Held, capsys: pytest.CaptureFixture[str]):
    workers: list[int] = []

    def fail():
        with held.serve(workers=2, DRAIN_SECONDS="25") as server:
            workers.extend(server.workers())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert "Starting gunicorn" in capsys.readouterr().out
    assert len(workers) == 2
    until(lambda: all(map(gone, workers)))


def test_plain_gunicorn_by_its_port(held: Held):
    with held.serve(PLAIN, config=None, ready=None) as server:
        assert server.get("/")[0] == 200
        os.kill(server.pid, signal.SIGINT)
        assert server.wait() == 0


def test_what_was_not_started_says_so():
    server = Gunicorn("app:app")
    assert server.output() == ""
    server.kill()
    with pytest.raises(AssertionError, match="was not started"):
        server.signal(signal.SIGTERM)


def test_the_shells_settings_for_another_gunicorn_are_left_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--reload")
    monkeypatch.setenv("DYNO", "web.1")
    clean = environment({"X": "1"})
    assert clean["X"] == "1"
    assert not {"GUNICORN_CMD_ARGS", "DYNO"} & clean.keys()
    assert clean["PATH"] == os.environ["PATH"]


def test_tls_is_served_as_gunicorn_does(held: Held, tmp_path):
    key, cert = tmp_path / "key.pem", tmp_path / "cert.pem"
    make = [require("openssl"), "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"]
    subprocess.run(
        [*make, "-subj", "/CN=localhost", "-keyout", str(key), "-out", str(cert)],
        check=True,
        capture_output=True,
    )
    args = ("--certfile", str(cert), "--keyfile", str(key))
    with held.serve(APP, *args, ready=None) as server:
        context = ssl.create_default_context(cafile=str(cert))
        with (
            socket.create_connection(("127.0.0.1", server.port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as client,
        ):
            client.sendall(b"GET /health/ready HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert client.recv(1000).startswith(b"HTTP/1.1 200 ")
