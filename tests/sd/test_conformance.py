"""Every instancer keeps every law. A new one adds its bench."""

from __future__ import annotations

import pytest

from falconkit.testing.conform_instancer import LAWS, conform_instancer
from tests.sd.benches import InEtcd, InFile, InHosts, InSrv, InZookeeper

BENCHES = {
    "file": lambda request: InFile(request.getfixturevalue("tmp_path")),
    "dns srv": lambda request: InSrv(),
    "dns hosts": lambda request: InHosts(),
    "etcd": lambda request: InEtcd(request.getfixturevalue("etcd")),
    "zookeeper": lambda request: InZookeeper(request.getfixturevalue("zookeeper")),
}


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
@pytest.mark.parametrize("name", BENCHES)
def test_law(name, law, request):
    conform_instancer(lambda: BENCHES[name](request), [law])
