"""A real Zipkin: three services, a hundred calls through all of them."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from falconkit.testing import wait_until
from falconkit.testing.gunicorn import Gunicorn
from tests.services import zipkin_server
from tests.tracing.test_processes import serve

CALLS = 100


class Zipkin:
    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v2/{path}", timeout=30) as answer:
            return json.load(answer)

    def traces(self) -> list[list[dict[str, Any]]]:
        return self.get(f"traces?serviceName=instance&limit={CALLS * 5}&lookback=86400000")

    def links(self) -> dict[tuple[str, str], dict[str, Any]]:
        # Bounds are whole days of the span's own time; what is a minute ahead is in.
        end = int(time.time() * 1000) + 60_000
        found = self.get(f"dependencies?endTs={end}&lookback=86400000")
        return {
            (each["parent"], each["child"]): each
            for each in found
            if not each["parent"].startswith("broken_")
        }


@pytest.fixture(scope="module")
def zipkin() -> Iterator[Zipkin]:
    with zipkin_server() as url:
        yield Zipkin(url)


@contextlib.contextmanager
def three_services(url: str, prefix: str = "") -> Iterator[tuple[Gunicorn, ...]]:
    def start(service: str, asked: str = "", server: Gunicorn | None = None) -> Gunicorn:
        env = {"SERVICE": prefix + service}
        if server is not None:
            env |= {"CALLS": f"http://127.0.0.1:{server.port}/work", "ASKED": prefix + asked}
        return stack.enter_context(serve(url, **env))

    with contextlib.ExitStack() as stack:
        instance = start("instance")
        proxy = start("proxy", "instance", instance)
        gateway = start("gateway", "proxy", proxy)
        yield gateway, proxy, instance


def ask(port: int, bodies: list[str]) -> list[tuple[int, bytes]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    answers = []
    with contextlib.closing(connection):
        for body in bodies:
            connection.request("POST", "/work", body=body)
            answer = connection.getresponse()
            answers.append((answer.status, answer.read()))
    return answers


def test_a_hundred_calls_through_gateway_proxy_and_instance(zipkin: Zipkin) -> None:
    with three_services(zipkin.url) as (gateway, proxy, instance):
        answers = ask(gateway.port, [str(n) for n in range(CALLS)])
        assert answers == [(200, str(n + 1).encode()) for n in range(CALLS)]
        traces = wait_until(
            lambda: sum(map(len, zipkin.traces())) == CALLS * 5 and zipkin.traces(), 60
        )
        logged = [each.output() for each in (gateway, proxy, instance)]
    assert len(traces) == CALLS
    for spans in traces:
        check(spans, proxy.port, instance.port)
    tags = [span.get("tags", {}) for spans in traces for span in spans]
    assert sorted(int(each["v"]) for each in tags if "v" in each) == list(range(CALLS))
    links = zipkin.links()
    assert {pair: each["callCount"] for pair, each in links.items()} == {
        ("gateway", "proxy"): CALLS,
        ("proxy", "instance"): CALLS,
    }
    assert not any(each.get("errorCount") for each in links.values())
    # One id finds every line of every service.
    for spans in traces:
        assert all(spans[0]["traceId"] in each for each in logged)


def check(spans: list[dict[str, Any]], proxy: int, instance: int) -> None:
    named = {span["name"]: span for span in spans}
    way = ["gateway_pass", "ask_proxy", "proxy_pass", "ask_instance", "instance_work"]
    assert sorted(named) == sorted(way)
    for outer, inner in itertools.pairwise(way):
        assert named[inner]["parentId"] == named[outer]["id"]
        assert named[inner]["duration"] <= named[outer]["duration"]
    assert "parentId" not in named[way[0]]
    assert len({span["id"] for span in spans}) == 5
    assert [named[each]["kind"] for each in way] == [
        "SERVER",
        "CLIENT",
        "SERVER",
        "CLIENT",
        "SERVER",
    ]
    assert [named[each]["localEndpoint"]["serviceName"] for each in way] == [
        "gateway",
        "gateway",
        "proxy",
        "proxy",
        "instance",
    ]
    loopback = {"ipv4": "127.0.0.1"}
    assert [named[each]["remoteEndpoint"] for each in way] == [
        loopback,
        {"serviceName": "proxy", **loopback, "port": proxy},
        loopback,
        {"serviceName": "instance", **loopback, "port": instance},
        loopback,
    ]
    for each in way[0::2]:
        assert named[each]["tags"]["http.method"] == "POST"
        assert named[each]["tags"]["http.path"] == "/work"
        assert named[each]["tags"]["request.id"] == named[way[0]]["tags"]["request.id"]
    assert not any("error" in span["tags"] for span in spans if "tags" in span)


def test_a_failed_call_is_red_where_it_failed(zipkin: Zipkin) -> None:
    with three_services(zipkin.url, "broken_") as (gateway, _, instance):
        assert instance.stop() == 0
        ((status, _),) = ask(gateway.port, ["1"])
        assert status == 503
        failed = wait_until(lambda: whole(zipkin, "error"), 60)
    told = {span["name"]: span.get("tags", {}).get("error", "") for span in failed}
    assert told["ask_broken_instance"].startswith("UpstreamUnavailable")
    assert all(each.startswith("Upstream") for each in told.values())
    assert set(told) == {
        "broken_gateway_pass",
        "ask_broken_proxy",
        "broken_proxy_pass",
        "ask_broken_instance",
    }


def whole(zipkin: Zipkin, query: str) -> list[dict[str, Any]] | None:
    found = zipkin.get(f"traces?annotationQuery={query}&lookback=86400000")
    return found[0] if found and len(found[0]) == 4 else None
