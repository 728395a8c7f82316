"""One request through gateway, proxy and instance is one trace."""

from __future__ import annotations

import http.client
import itertools
import json
from contextlib import closing
from typing import Any

from examples.running import Running
from falconkit.testing import wait_until
from tests.services import zipkin_server
from tests.tracing.receiver import Receiver
from tests.tracing.test_zipkin import Zipkin

CALLS = 20
WAY = [
    ("gateway", "SERVER", "stringsvc_uppercase"),
    ("gateway", None, "stringsvc_post_uppercase"),
    ("gateway", "CLIENT", "stringsvc_post_uppercase"),
    ("stringproxy", "SERVER", "uppercase"),
    ("stringproxy", None, "stringsvc_post_uppercase"),
    ("stringproxy", "CLIENT", "stringsvc_post_uppercase"),
    ("stringsvc", "SERVER", "uppercase"),
]


def call(running: Running) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", running.gateway.port, timeout=30)
    with closing(connection):
        for _ in range(CALLS):
            connection.request("POST", "/stringsvc/uppercase", '{"s":"hello"}')
            answer = connection.getresponse()
            assert (answer.status, answer.read()) == (200, b'{"v":"HELLO"}')


def check(trace: list[dict[str, Any]]) -> None:
    """Hold that a trace is a row of spans, each within the one before, in all three services."""
    inner_of = {span.get("parentId"): span for span in trace}
    row = [inner_of[None]]
    while row[-1]["id"] in inner_of:
        row.append(inner_of[row[-1]["id"]])
    assert len({span["traceId"] for span in trace}) == 1
    assert [
        (span["localEndpoint"]["serviceName"], span.get("kind"), span["name"]) for span in row
    ] == WAY
    assert len(row) == len(trace)
    for outer, inner in itertools.pairwise(row):
        assert inner["duration"] <= outer["duration"]
    assert len({span["tags"]["request.id"] for span in row if span.get("kind") == "SERVER"}) == 1


def test_gateway_proxy_and_instance_show_one_trace(tmp_path):
    with Receiver() as receiver:
        with Running(tmp_path, ZIPKIN_URL=receiver.url) as running:
            call(running)
            ports = {each.port for each in running.instances.values()}
        # Each worker has sent what it had when it ended.
        spans = receiver.spans()
    traces: dict[str, list[dict[str, Any]]] = {}
    for span in spans:
        traces.setdefault(span["traceId"], []).append(span)
    assert len(traces) == CALLS
    for trace in traces.values():
        check(trace)
    asked = [
        span["remoteEndpoint"]["port"]
        for span in spans
        if (span["localEndpoint"]["serviceName"], span.get("kind")) == ("stringproxy", "CLIENT")
    ]
    assert set(asked) <= ports
    assert len(asked) == CALLS


def test_a_real_zipkin_shows_it_so_and_who_calls_whom(tmp_path):
    with zipkin_server() as url, Running(tmp_path, ZIPKIN_URL=url) as running:
        zipkin = Zipkin(url)
        call(running)

        def traces() -> list[list[dict[str, Any]]]:
            return zipkin.get(f"traces?serviceName=gateway&limit={CALLS * 2}&lookback=86400000")

        wait_until(lambda: sum(map(len, traces())) == CALLS * len(WAY), 60)
        for trace in traces():
            check(trace)
        assert {pair: each["callCount"] for pair, each in zipkin.links().items()} == {
            ("gateway", "stringproxy"): CALLS,
            ("stringproxy", "stringsvc"): CALLS,
        }
        assert json.loads(running.gateway.get("/debug/vars")[2])["spans.sent"] == CALLS * 3
