"""The example as its users meet it: real gunicorn, real bytes."""

from __future__ import annotations

import json
import re

import pytest

from tests.load import Load, call, get, poll, request
from tests.system.serving import Serve

UUID = re.compile(rb"x-request-id: [0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


def variables(port: int) -> dict[str, float]:
    status, _, body = get(port, "/debug/vars")
    assert status == 200
    return dict(json.loads(body))


@pytest.mark.parametrize("worker", ["gthread", "sync"])
def test_the_articles_session(serve: Serve, worker: str) -> None:
    args = () if worker == "gthread" else ("--worker-class", "sync")
    with serve(WEB_CONCURRENCY="4", RATE_LIMIT="2/hour", args=args) as server:
        # The article's own curl sends a form's content type.
        form = request().replace(b"application/json", b"application/x-www-form-urlencoded")
        assert call(server.port, form)[::2] == (200, b'{"v":1}')
        assert call(server.port, request(body=b'{"v":2}'))[::2] == (200, b'{"v":3}')
        status, head, body = call(server.port, request(body=b'{"v":3}'))
        assert (status, body.strip()) == (429, b"rate limit exceeded")
        assert 1 <= int(re.search(rb"(?i)retry-after: (\d+)", head)[1]) <= 1800
        assert call(server.port, request())[0] == 429
        assert UUID.search(head.lower())
        assert b'"request.count": 4' in get(server.port, "/debug/vars")[2]
        poll(lambda: len(server.requests()) == 4)
        lines = server.requests()
    assert [(line["request"], line["result"], line["err"]) for line in lines] == [
        (1, 1, None),
        (2, 3, None),
        (3, None, "rate limit exceeded"),
        (1, None, "rate limit exceeded"),
    ]
    for line in lines:
        assert line["path"] == "/add"
        assert line["method"] == "POST"
        assert 0 <= line["elapsed"] < 60
        assert len(line["request_id"]) == 36


def test_one_port_many_workers_one_count(serve: Serve) -> None:
    with serve(WEB_CONCURRENCY="4", RATE_LIMIT="1000000/second") as server:
        outcomes = Load(server.port, kept=False, calls=300).__enter__().wait()
        assert outcomes.statuses == {200: 300}
        assert variables(server.port)["request.count"] == 300
        assert call(server.port, request(body=b'{"v":0}'))[2] == b'{"v":300}'


def test_the_total_survives_a_restart(serve: Serve) -> None:
    with serve(RATE_LIMIT="1000/second") as server:
        assert call(server.port, request(body=b'{"v":41}'))[2] == b'{"v":41}'
    with serve(RATE_LIMIT="1000/second") as server:
        assert call(server.port, request())[2] == b'{"v":42}'


def count(port: int) -> float:
    return variables(port).get("request.count", 0)


BAD = {
    "invalid json": (request(body=b"{"), 400),
    "wrong type": (request(body=b'{"v":"1"}'), 400),
    "missing field": (request(body=b"{}"), 400),
    "no body": (request(body=b""), 400),
    "past 64 bits": (request(body=b'{"v":9223372036854775808}'), 400),
    "far past 64 bits": (request(body=b'{"v":1' + b"0" * 400 + b"}"), 400),
    "NaN": (request(body=b'{"v":NaN}'), 400),
    "Infinity": (request(body=b'{"v":-Infinity}'), 400),
    "a float": (request(body=b'{"v":1.5}'), 400),
    "deep nesting": (request(body=b"[" * 100_000), 400),
    "deep nesting in a skipped field": (request(body=b'{"x":' + b"[" * 100_000), 400),
    "invalid utf-8": (request(body=b'{"v":1,"\xff":1}'), 400),
    "invalid utf-8 in a skipped field": (request(body=b'{"x":"\xff","v":1}'), 400),
    "too large": (request(body=b" " * (1 << 20) + b'{"v":1}'), 413),
    "xml": (request().replace(b"application/json", b"application/xml"), 415),
    "multipart": (request().replace(b"application/json", b"multipart/form-data; boundary=x"), 415),
    "wrong method": (request(method="GET", body=b""), 405),
    "unknown path": (request("/nowhere"), 404),
    "chunked and too large": (
        b"POST /add HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
        + (b"20000\r\n" + b" " * 0x20000 + b"\r\n") * 9
        + b"0\r\n\r\n",
        413,
    ),
    "a body shorter than it said": (
        b"POST /add HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n{}",
        408,
    ),
}


@pytest.fixture(scope="module")
def patient(shared_serve: Serve):
    with shared_serve(RATE_LIMIT="1000000/second", BODY_TIMEOUT="0.4") as server:
        yield server


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_its_4xx_one_line_and_one_count(patient, case: str) -> None:
    payload, status = BAD[case]
    before = count(patient.port)
    lines = len(patient.requests())
    got, head, body = call(patient.port, payload)
    assert got == status, body
    assert UUID.search(head.lower())
    assert body
    assert b"Traceback" not in body
    assert count(patient.port) == before + 1
    poll(lambda: len(patient.requests()) > lines)
    [line] = patient.requests()[lines:]
    assert line["err"]
    assert line["request"] is None
    assert call(patient.port, request(body=b'{"v":0}'))[0] == 200, "the worker lives"


def test_the_path_of_a_wrong_type_is_named(patient) -> None:
    assert b"$.v: expected int, got str" in call(patient.port, request(body=b'{"v":"1"}'))[2]


def test_overflow_is_409_and_the_total_stays(patient) -> None:
    most = b'{"v":9223372036854775807}'
    total = json.loads(call(patient.port, request(body=b'{"v":0}'))[2])["v"]
    call(patient.port, request(body=b'{"v":1}'))
    assert call(patient.port, request(body=most))[0] == 409
    after = json.loads(call(patient.port, request(body=b'{"v":-1}'))[2])["v"]
    assert after == total


@pytest.mark.parametrize(
    "hostile", [b'"quoted" id with spaces', b"\x01\x02" * 20, b"a" * 10_000, b"short"]
)
def test_a_hostile_request_id_is_replaced(patient, hostile: bytes) -> None:
    payload = request(body=b'{"v":0}').replace(b"Host: t", b"Host: t\r\nX-Request-ID: " + hostile)
    status, head, _ = call(patient.port, payload)
    # gunicorn's own parser refuses control bytes and header lines over 8,190 bytes.
    assert status in (200, 400, 431)
    assert hostile not in head
    if status == 200:
        assert UUID.search(head.lower())


def test_a_good_request_id_is_kept(patient) -> None:
    good = b"9c248150-03ac-4b24-b5a7-f7c1f0fb05ed+/="
    payload = request(body=b'{"v":0}').replace(b"Host: t", b"Host: t\r\nX-Request-ID: " + good)
    assert b"x-request-id: " + good in call(patient.port, payload)[1].lower()


def test_bodies_that_never_come_do_not_hold_the_service(patient) -> None:
    """Four threads, eight clients that promise a body: each is a 408, and others are served."""
    import socket

    promise = b"POST /add HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n{}"
    clients = [socket.create_connection(("127.0.0.1", patient.port), timeout=30) for _ in range(8)]
    for client in clients:
        client.sendall(promise)
    assert call(patient.port, request(body=b'{"v":0}'))[0] == 200
    for client in clients:
        head = client.recv(65536)
        assert head.startswith(b"HTTP/1.1 408")
        assert b"connection: close" in head.lower()
        client.close()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("RATE_LIMIT", "fast"),
        ("RATE_STORAGE", "mysql://x"),
        ("PORT", "http"),
        ("FALCONKIT_RUN", "/proc/nowhere"),
        ("COUNTER_DB", "/proc/nowhere/counter.db"),
    ],
)
def test_misconfiguration_is_said_at_start(serve: Serve, variable: str, value: str) -> None:
    code, output = serve.fails(**{variable: value})
    assert code not in (0, None)
    assert variable in output
    assert value in output
    assert "Traceback" not in output


def test_a_statsd_that_does_not_resolve_is_a_warning(serve: Serve) -> None:
    with serve(STATSD_HOST="no-such-host.invalid", RATE_LIMIT="1000/second") as server:
        assert call(server.port, request())[0] == 200
        poll(lambda: "STATSD_HOST" in server.output())
        assert call(server.port, request())[0] == 200
