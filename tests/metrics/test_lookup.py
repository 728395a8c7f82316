"""Names of daemons are looked up again when their TTL is over: with a real DNS server."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import dns.resolver
import pytest

from falconkit.arena import Arena
from falconkit.metrics import Metrics
from falconkit.metrics.lookup import Address
from falconkit.metrics.statsd import StatsD
from falconkit.testing import ManualClock, wait_until
from falconkit.testing.statsd import StatsDSink
from tests.sd.servers import Dnsmasq

SHORT, LONG, ALIAS = 7, 3600, 3


def records(end: int) -> list[str]:
    """Return records whose addresses end so."""
    return [
        f"--host-record=short.test,127.0.0.{end},{SHORT}",
        f"--host-record=long.test,127.0.0.{end},{LONG}",
        f"--host-record=zero.test,127.0.0.{end},0",
        f"--host-record=six.test,::{end},{SHORT}",
        f"--cname=alias.test,long.test,{ALIAS}",
    ]


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Dnsmasq]:
    """Start dnsmasq, and let it be all that is known of names under ``test``."""
    dnsmasq = Dnsmasq()
    dnsmasq.records = records(1)
    make, real = dns.resolver.Resolver, socket.getaddrinfo

    def resolver() -> dns.resolver.Resolver:
        made = make(configure=False)
        made.nameservers, made.port = ["127.0.0.1"], dnsmasq.port
        return made

    def addresses(host: str, *args: Any, **options: Any) -> Any:
        if not host.endswith(".test"):
            return real(host, *args, **options)
        for kind in ("A", "AAAA"):
            try:
                answer = resolver().resolve(host, kind, lifetime=1.0)
            except dns.resolver.NoAnswer:
                continue
            except dns.exception.DNSException as ex:
                raise socket.gaierror(-3, str(ex)) from ex
            return real(answer[0].address, *args, **options)
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(dns.resolver, "Resolver", resolver)
    monkeypatch.setattr(socket, "getaddrinfo", addresses)
    try:
        dnsmasq.start()
        yield dnsmasq
    finally:
        dnsmasq.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def moved(server: Dnsmasq, end: int) -> None:
    server.stop()
    server.records = records(end)
    server.start()


def address(name: str, clock: ManualClock) -> Callable[[], str]:
    """Return what tells where a name leads."""
    found = Address(name, 8125, clock, upstream="statsd")
    return lambda: found.find().address[0]


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("short.test", SHORT), ("alias.test", ALIAS), ("zero.test", 1), ("long.test", 60)],
)
def test_a_name_that_moves_is_followed_when_its_ttl_is_over(
    server: Dnsmasq, clock: ManualClock, name: str, seconds: int
) -> None:
    where = address(name, clock)
    assert where() == "127.0.0.1"
    moved(server, 2)
    clock.advance(seconds - 0.01)
    assert where() == "127.0.0.1"
    clock.advance(0.01)
    assert where() == "127.0.0.2"
    moved(server, 3)
    clock.advance(seconds)
    assert where() == "127.0.0.3"


def test_a_name_of_ipv6_has_a_ttl_too(server: Dnsmasq, clock: ManualClock) -> None:
    where = address("six.test", clock)
    assert where() == "::1"
    moved(server, 2)
    clock.advance(SHORT)
    assert where() == "::2"


def test_the_last_address_is_kept_while_nobody_answers(server: Dnsmasq, clock: ManualClock) -> None:
    where = address("short.test", clock)
    assert where() == "127.0.0.1"
    server.stop()
    for _ in range(3):
        clock.advance(SHORT)
        assert where() == "127.0.0.1"
    server.records = records(2)
    server.start()
    clock.advance(4.99)
    assert where() == "127.0.0.1"
    clock.advance(0.01)
    assert where() == "127.0.0.2"


def test_without_dnspython_it_is_a_minute(
    server: Dnsmasq, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = address("short.test", clock)
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "dns.resolver", None)
        assert where() == "127.0.0.1"
    moved(server, 2)
    clock.advance(59.99)
    assert where() == "127.0.0.1"
    clock.advance(0.01)
    assert where() == "127.0.0.2"


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_the_dns_is_not_asked_for_what_it_does_not_know(
    clock: ManualClock, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    monkeypatch.setattr(dns.resolver, "Resolver", None)
    assert address(host, clock)() in ("127.0.0.1", "::1")


def test_a_name_of_the_hosts_file_holds_for_a_minute(
    server: Dnsmasq, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: hosts)
    hosts = [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", 8125))]
    where = address("unknown.test", clock)
    assert where() == "127.0.0.1"
    hosts = [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.2", 8125))]
    clock.advance(59.99)
    assert where() == "127.0.0.1"
    clock.advance(0.01)
    assert where() == "127.0.0.2"


def test_names_are_looked_up_by_the_flush_thread_alone(
    arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, threads = socket.getaddrinfo, set()

    def addresses(host: str, *args: Any, **options: Any) -> Any:
        if host != "statsd.test":
            return real(host, *args, **options)
        threads.add(threading.current_thread().name)
        return real("127.0.0.1", *args, **options)

    def resolver() -> Any:
        threads.add(threading.current_thread().name)
        raise dns.resolver.NoResolverConfiguration

    monkeypatch.setattr(socket, "getaddrinfo", addresses)
    monkeypatch.setattr(dns.resolver, "Resolver", resolver)
    with StatsDSink() as sink:
        metrics = Metrics(arena=arena)
        metrics.add_backend(StatsD("statsd.test", sink.port, interval=0.01))
        metrics.counter("calls").add()
        wait_until(lambda: sink.counters().get("calls") == 1, 60)
        metrics.counter("calls").add()
        metrics.close()
    assert threads == {"falconkit-metrics"}
