"""A service in one line: where it is, its endpoints, what they share, what they leave behind."""

from __future__ import annotations

import ssl
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from falconkit import Context, chain, layers, name_of
from falconkit.circuitbreaker import CircuitBreaker, guard
from falconkit.context import ATTEMPT, INSTANCE, Asked
from falconkit.deadline import timeout
from falconkit.errors import (
    ConfigurationError,
    NoInstance,
    OutcomeUnknown,
    UpstreamFailed,
    UpstreamUnavailable,
)
from falconkit.retry import retry
from falconkit.sd import RoundRobin, Static, from_file
from falconkit.testing import ManualClock, wait_until
from falconkit.testing.peer import Peer, answer, hang_up
from falconkit.transport import http
from tests.sd.doubles import Told
from tests.services import free_port


class Total(msgspec.Struct):
    v: int


def address(peer: Peer) -> str:
    return f"127.0.0.1:{peer.port}"


def totals(*numbers: int) -> list[bytes]:
    return [answer(200, b'{"v":%d}' % each) for each in numbers]


@pytest.fixture
def service():
    made = []

    def make(*peers: Peer, **options) -> http.Service:
        options.setdefault("sd", Static(*map(address, peers)) if peers else None)
        made.append(http.service("counter", **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def test_a_service_that_calls_another(service):
    with Peer(*totals(3, 5)) as peer:
        counter = service(environ={"COUNTER_URL": f"static://{address(peer)}"})
        add = counter.post("/add", returns=Total)
        total = counter.get("/total/{id}")
        assert add(Context(), Total(3)) == Total(3)
        assert total(Context(), {"id": 7, "fresh": True}) == {"v": 5}
        sent = [(each.method, each.target, each.body) for each in peer.requests]
        assert sent == [("POST", "/add", b'{"v":3}'), ("GET", "/total/7?fresh=true", b"")]
        assert peer.connections == 1, "all endpoints share an instance's connections"


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://{}", "/add"),
        ("http://{}/", "/add"),
        ("http://{}/v1/", "/v1/add"),
        ("static://{}/v1", "/v1/add"),
    ],
)
def test_a_path_of_the_url_stands_before_every_endpoints(service, url, asked):
    with Peer(answer(200, b"1")) as peer:
        add = service(sd=url.format(address(peer))).post("/add")
        assert add(Context(), 1) == 1
        assert peer.requests[0].target == asked


def test_https_is_spoken_where_the_url_or_the_scheme_says_so(service):
    port = free_port()
    for options in (
        {"sd": f"https://127.0.0.1:{port}"},
        {"sd": f"static://127.0.0.1:{port}", "scheme": "https"},
        {"sd": Static(f"127.0.0.1:{port}"), "scheme": "https"},
    ):
        with pytest.raises(
            UpstreamUnavailable, match=f"counter cannot be .* at https://127.*{port}"
        ):
            service(**options).get("/total")(Context(), None)


def test_instances_are_verified_by_the_tls_that_is_given(service):
    loopback = Path(__file__).parent / "tls" / "loopback.pem"
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(loopback)
    trusted = ssl.create_default_context(cafile=loopback)
    with Peer(answer(200, b"1"), answer(200, b"2"), tls=served) as peer:
        counter = service(sd=f"https://{address(peer)}", tls=trusted)
        both = counter.get("/total"), counter.post("/add")
        assert [each(Context(), None) for each in both] == [1, 2]
        assert peer.connections == 1
    with Peer(answer(200, b"1"), tls=served) as peer:
        with pytest.raises(UpstreamUnavailable, match="certificate"):
            service(sd=f"https://{address(peer)}").get("/total")(Context(), None)
        assert peer.requests == []


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({}, "nobody says where counter is: set COUNTER_URL, as in static://"),
        ({"COUNTER_URL": "  "}, "set COUNTER_URL"),
        ({"COUNTER_URL": "counter:8000"}, "COUNTER_URL: a discovery URL begins with one of"),
        ({"COUNTER_URL": "static://10.0.0.1"}, "COUNTER_URL: an address is host:port"),
        ({"COUNTER_URL": "http://[::1"}, "COUNTER_URL: .* cannot be read"),
        ({"COUNTER_URL": "http://counter:99999"}, "COUNTER_URL: "),
        ({"COUNTER_URL": "http://counter/{id}"}, "COUNTER_URL: .* has names in its path"),
        ({"COUNTER_URL": "http://counter/ü"}, "COUNTER_URL: .* percent-encoded"),
        ({"COUNTER_URL": "http://counter?tag=blue"}, "COUNTER_URL: "),
        ({"COUNTER_URL": "consul://counter?tog=blue"}, "COUNTER_URL: "),
        ({"COUNTER_URL": "file://etc/counter"}, "COUNTER_URL: a file's URL"),
    ],
)
def test_what_is_wrong_with_the_environment_names_the_variable(environ, said):
    with pytest.raises(ConfigurationError, match=said):
        http.service("counter", environ=environ)


def test_a_secret_in_the_url_is_not_told():
    with pytest.raises(ConfigurationError, match="COUNTER_URL: the URL has credentials") as raised:
        http.service("counter", environ={"COUNTER_URL": "http://ann:secret@counter"})
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sd": 7}, "sd= is an Instancer or a discovery URL, got 7"),
        ({"sd": "counter"}, "sd=: a discovery URL begins"),
        ({"scheme": "ftp"}, "scheme is 'http' or 'https', got 'ftp'"),
        ({"sd": "https://counter", "scheme": "http"}, "scheme= says http"),
        ({"around": 7}, "around= is a middleware"),
        ({"each": 7}, "each= is a middleware"),
        ({"by": "turns"}, "by= chooses a member"),
        ({"panic": 2}, "panic is 0 to 1"),
        ({"stale_for": -1}, "stale_for is 0 s or more"),
    ],
)
def test_what_is_wrong_with_a_service_is_said_when_it_is_made(options, said):
    with pytest.raises(ConfigurationError, match=said):
        http.service("counter", **({"sd": "static://a:1"} | options))


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("post", "/add", {}),
        ("POST", "add", {}),
        ("POST", "http://elsewhere/add", {}),
        ("POST", "/{id}/{id}", {}),
        ("POST", "/a b", {}),
        ("POST", "/add", {"name": "a b"}),
        ("POST", "/add", {"timeout": 0}),
        ("POST", "/add", {"returns": object()}),
        ("POST", "/add", {"returns": int, "decode": lambda ctx, incoming: 1}),
    ],
)
def test_what_is_wrong_with_an_endpoint_is_said_when_it_is_made(service, method, path, options):
    with pytest.raises(ConfigurationError):
        service(sd="static://a:1").endpoint(method, path, **options)


def test_names_and_what_may_be_repeated(service):
    counter = service(sd="static://a:1", around=chain(retry()))
    endpoints = [
        counter.get("/total/{id}"),
        counter.post("/add"),
        counter.put("/total/{id}", name="set_total"),
        counter.patch("/total"),
        counter.delete("/total", idempotent=False),
        counter.get("/"),
    ]
    assert [name_of(each) for each in endpoints] == [
        "counter_get_total_id",
        "counter_post_add",
        "set_total",
        "counter_patch_total",
        "counter_delete_total",
        "counter_get",
    ]
    inner = [each.__wrapped__ for each in endpoints]
    assert [each.idempotent for each in inner] == [True, False, True, False, False, True]
    assert {each.service for each in inner} == {"counter"}
    assert [each.name for each in layers(endpoints[0])] == ["retry"]


def test_a_try_that_fails_is_made_again_at_another_instance(service):
    with Peer(hang_up(), *totals(1)) as one, Peer(hang_up(), *totals(1)) as two:
        counter = service(one, two, around=retry(clock=ManualClock()), by=RoundRobin())
        ctx = Context()
        # Both hang up once, so that the third try is the one that works.
        assert counter.get("/total")(ctx, None) == {"v": 1}
        tried = [each.instance for each in ctx.notes.of(Asked)]
        assert len(tried) == 3
        assert set(tried) == {address(one), address(two)}


def test_a_write_whose_answer_was_lost_is_told_and_not_repeated(service):
    with Peer(*totals(1), hang_up(), *totals(3)) as peer:
        add = service(peer, around=retry(clock=ManualClock())).post("/add", returns=Total)
        assert add(Context(), Total(1)) == Total(1)
        # Not a byte of an answer, on a connection that was used before: the service may
        # have read the call and been killed, so nobody can say that it was not run.
        with pytest.raises(OutcomeUnknown):
            add(Context(), Total(1))
        assert len(peer.requests) == 2


def test_a_write_that_reached_nobody_goes_to_another_instance_without_a_retry(service):
    with Peer(*totals(*range(20))) as peer:
        dead = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        add = service(sd=Static(address(peer), *dead)).post("/add", returns=Total)
        assert [add(Context(), Total(1)).v for _ in range(20)] == list(range(20))


def test_what_a_call_shows_of_an_instance_counts_for_all_endpoints(service):
    with Peer(*totals(*range(20))) as peer:
        sd = Static(address(peer), f"127.0.0.1:{free_port()}")
        counter = service(sd=sd, around=retry(clock=ManualClock()), by=RoundRobin())
        add, total = counter.post("/add"), counter.get("/total")
        for _ in range(5):
            add(Context(), 1)
            total(Context(), None)
        (away,) = [each for each in counter.status() if each["ejected_for"]]
        assert away["instance"] != address(peer)
        ctx = Context()
        assert total(ctx, None)["v"] == 10
        assert len(ctx.notes.of(Asked)) == 1, "the other endpoint knows it, too"


def test_each_stands_around_every_instance_once_and_around_around_the_call(service):
    tries, calls = [], []

    def noting(heard, what):
        def wrap(next):
            def call(ctx, request):
                heard.append(what(ctx))
                return next(ctx, request)

            return call

        return wrap

    with Peer(hang_up(), *totals(1, 2)) as one, Peer(hang_up(), *totals(1, 2)) as two:
        counter = service(
            one,
            two,
            around=chain(noting(calls, lambda ctx: ctx.get(INSTANCE)), retry(clock=ManualClock())),
            each=noting(tries, lambda ctx: (ctx.get(INSTANCE), ctx.get(ATTEMPT))),
            by=RoundRobin(),
        )
        counter.get("/total")(Context(), None)
    assert calls == [None]
    assert [attempt for _, attempt in tries] == [None, 2, 3]
    assert {instance for instance, _ in tries} == {address(one), address(two)}


def test_an_instance_has_one_breaker_for_all_threads(service):
    made = []

    def breaker(name):
        made.append(CircuitBreaker(name, shared=False, failures_in_a_row=1, wait=60.0))
        return made[-1]

    with Peer(*[answer(500)] * 40) as peer:
        counter = service(peer, each=chain(guard(breaker), timeout(30.0)))
        total = counter.get("/total")
        with pytest.raises(UpstreamFailed):
            total(Context(), None)
        with ThreadPoolExecutor(8) as threads:
            raised = list(threads.map(lambda _: failure_of(total), range(40)))
        assert {type(each).__name__ for each in raised} == {"CircuitOpen"}
        assert len(made) == 1


def test_instances_whose_circuit_is_open_are_passed_over(service):
    def breaker(name):
        return CircuitBreaker(name, shared=False, failures_in_a_row=1, wait=60.0)

    with Peer(*totals(*range(60))) as peer:
        dead = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        counter = service(
            sd=Static(address(peer), *dead),
            around=retry(clock=ManualClock()),
            each=guard(breaker),
            by=RoundRobin(),
        )
        add = counter.post("/add", returns=Total)
        assert [add(Context(), Total(1)).v for _ in range(60)] == list(range(60))


def failure_of(call):
    try:
        call(Context(), None)
    except Exception as error:
        return error


def test_an_instance_that_goes_leaves_no_connection(service):
    with Peer(*totals(1)) as one, Peer(*totals(2)) as two:
        told = Told(address(one))
        total = service(sd=told).get("/total", returns=Total)
        assert total(Context(), None) == Total(1)
        told.tell(address(two))
        (thread,) = [each for each in one._threads if "_serve" in each.name]
        thread.join(60)
        assert not thread.is_alive(), "its connection was closed"
        assert total(Context(), None) == Total(2)


def test_closing_it_closes_discovery_and_later_calls_fail(service, tmp_path):
    path = tmp_path / "instances"
    with Peer(*totals(1)) as peer:
        path.write_text(address(peer))
        before = threading.active_count()
        counter = service(sd=from_file(path, every=60.0))
        total = counter.get("/total", returns=Total)
        assert total(Context(), None) == Total(1)
        counter.close()
        counter.close()
        for late in (total, counter.get("/late")):
            with pytest.raises(NoInstance):
                late(Context(), None)
        wait_until(lambda: threading.active_count() == before)


def test_one_that_was_never_called_closes_as_well(service, tmp_path):
    counter = service(sd=f"file://{tmp_path}/instances")
    total = counter.get("/total")
    counter.close()
    with pytest.raises(NoInstance):
        total(Context(), None)


OPENED = """
import os, sys, threading
from falconkit import Context, chain
from falconkit.circuitbreaker import CircuitBreaker, guard
from falconkit.deadline import timeout
from falconkit.retry import retry
from falconkit.sd import RoundRobin
from falconkit.testing import wait_until
from falconkit.transport import http

def opened():
    return sorted(os.listdir("/proc/self/fd")), threading.active_count()

def breaker(name):
    return CircuitBreaker(name, shared=False)

before = opened()
counter = http.service(
    "counter", around=retry(), each=chain(guard(breaker), timeout(30.0)), by=RoundRobin()
)
total, more = counter.get("/total"), counter.get("/more")
assert opened() == before, "made"

def use_and_close():
    for _ in range(3):
        total(Context(), None)
        more(Context(), None)
    descriptors, threads = opened()
    assert (len(descriptors), threads) == (len(before[0]) + 2, before[1] + 1), "in use"
    counter.close()
    assert opened() == before, "closed"

child = os.fork()
if not child:
    use_and_close()
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
total(Context(), None)  # now the parent has what a child must not use
child = os.fork()
if not child:
    total(Context(), None)
    more(Context(), None)
    counter.close()
    assert threading.active_count() == 1
    os._exit(0)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
use_and_close()
"""


def test_nothing_is_open_before_the_first_call_nor_before_a_fork_nor_after_close(tmp_path):
    path = tmp_path / "instances"
    with Peer(*totals(*[0] * 20)) as one, Peer(*totals(*[0] * 20)) as two:
        path.write_text(f"{address(one)}\n{address(two)}\n")
        subprocess.run(
            [sys.executable, "-W", "error", "-c", OPENED],
            check=True,
            timeout=60,
            env={"COUNTER_URL": f"file://{path}"},
        )
