"""A registrar in a real gunicorn: one registration a host, whoever of it dies, and how it ends."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from falconkit.sd.etcd import etcd_service
from falconkit.testing import wait_until
from falconkit.testing.conform_instancer import Ear
from falconkit.testing.gunicorn import Gunicorn

ROOT = Path(__file__).parents[2]


class Host:
    """A gunicorn of two workers, and what the registry says of it."""

    def __init__(self, etcd, service: str, ttl: int = 15, **env: str) -> None:
        self.ear = Ear()
        self.discovery = etcd_service(service, etcd.url, timeout=10.0)
        self.discovery.listen(self.ear)
        self.server = Gunicorn(
            "tests.sd.registered:app",
            workers=2,
            cwd=ROOT,
            ETCD=etcd.url,
            SERVICE=service,
            HERE="8000",
            TTL=str(ttl),
            **env,
        )

    def __enter__(self) -> Host:
        self.server.__enter__()
        wait_until(lambda: self.there(), 60)
        return self

    def __exit__(self, *failure) -> None:
        try:
            self.server.__exit__(*failure)
        finally:
            self.discovery.close()

    def there(self) -> list[int]:
        """Return the process ids of the workers that have it registered."""
        return [int(each.id) for each in self.ear.heard[-1].instances] if self.ear.heard else []

    def gaps(self) -> int:
        """Return how often the registry has lost it since it was there first."""
        sets = [each.instances for each in self.ear.heard]
        while sets and not sets[0]:
            del sets[0]
        return sum(not each for each in sets)


@pytest.fixture
def service(request) -> str:
    return request.node.name


def test_two_workers_register_once_and_a_killed_one_leaves_no_gap(etcd, service):
    with Host(etcd, service) as host:
        (leader,) = host.there()
        assert leader in host.server.workers()
        os.kill(leader, signal.SIGKILL)
        wait_until(lambda: host.there() != [leader], 60)
        assert len(host.there()) == 1
        assert host.gaps() == 0


def test_a_reload_leaves_no_gap(etcd, service):
    with Host(etcd, service) as host:
        old = host.server.workers()
        host.server.signal(signal.SIGHUP)
        wait_until(lambda: not set(old) & set(host.server.workers()), 60)
        wait_until(lambda: host.there() and host.there()[0] not in old, 60)
        assert host.gaps() == 0


def test_it_is_deregistered_while_it_still_answers(etcd, service):
    # It goes on to take calls for as long as we look: the end of the drain is not waited for.
    with Host(etcd, service, DRAIN_SECONDS="25") as host:
        host.server.signal(signal.SIGTERM)
        wait_until(lambda: host.there() == [], 60)
        status, headers, _ = host.server.get("/health/live")
        assert (status, headers["Connection"]) == (200, "close")
        host.server.signal(signal.SIGQUIT)


def test_what_was_killed_as_a_whole_is_gone_after_its_time_to_live(etcd, service):
    with Host(etcd, service, ttl=3) as host:
        host.server.kill()
        wait_until(lambda: host.there() == [], 60)
