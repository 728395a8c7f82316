"""Every instancer keeps every law. A new one adds its bench."""

from __future__ import annotations

import os

import pytest

from falconkit.testing.conform_instancer import (
    LAWS,
    OUTAGE_LAWS,
    SILENCE_LAWS,
    conform_instancer,
)
from tests.sd.benches import (
    Hushed,
    InChecked,
    InConsul,
    InConsulAgent,
    InEtcd,
    InEureka,
    InFile,
    InHosts,
    InSpringEureka,
    InSrv,
    InZookeeper,
)

BENCHES = {
    "file": lambda request: InFile(request.getfixturevalue("tmp_path")),
    "checked": lambda request: InChecked(request.getfixturevalue("tmp_path")),
    "consul": lambda request: InConsul(),
    "eureka": lambda request: InEureka(deltas=False),
    "eureka deltas": lambda request: InEureka(deltas=True),
    "dns srv": lambda request: InSrv(),
    "dns hosts": lambda request: InHosts(),
    "etcd": lambda request: InEtcd(request.getfixturevalue("etcd")),
    "zookeeper": lambda request: InZookeeper(request.getfixturevalue("zookeeper")),
}

# Their builds are not for every run: `.ci/run` has them made.
if os.environ.get("CONSUL"):
    BENCHES["consul agent"] = lambda request: InConsulAgent(request.getfixturevalue("consul_agent"))
if os.environ.get("EUREKA_JAR"):
    for deltas in (False, True):
        BENCHES[f"spring eureka{' deltas' * deltas}"] = lambda request, deltas=deltas: (
            InSpringEureka(request.getfixturevalue("eureka"), deltas=deltas)
        )

# Both kinds of DNS ask in one way, and an outage of UDP is seen by a time-out alone; a
# Eureka server forgets all when it ends, and takes long to begin.
WITHOUT_OUTAGE = {"dns hosts", "spring eureka", "spring eureka deltas"}
CASES = [
    pytest.param(name, law, id=f"{name}-{law.__name__}")
    for name in BENCHES
    for law in LAWS
    if not (name in WITHOUT_OUTAGE and law in OUTAGE_LAWS)
]


@pytest.mark.parametrize(("name", "law"), CASES)
def test_law(name, law, request):
    conform_instancer(lambda: BENCHES[name](request), [law])


@pytest.mark.parametrize("name", ["consul", "eureka", "dns srv", "dns hosts", "etcd", "zookeeper"])
def test_law_of_silence(name, request):
    conform_instancer(lambda: Hushed(BENCHES[name](request)), SILENCE_LAWS)
