"""The connection to a registry, when the registry behaves badly."""

from __future__ import annotations

import pytest

from falconkit.sd import wire
from falconkit.testing.peer import Peer, answer, drip


@pytest.mark.parametrize("kept", [False, True])
def test_an_answer_that_drips_is_lost_when_its_time_is_over(kept, monkeypatch):
    body = b"x" * 2000
    with Peer(answer(200, b"1"), drip(answer(200, body)), drip(answer(200, body))) as peer:
        asking = wire.Wire(peer.url, timeout=10.0)
        assert asking.ask("GET", "/").body == b"1"
        if not kept:
            asking.close()
        monkeypatch.setattr(wire, "_LONGEST", 0.2 - 10.0)
        with pytest.raises(OSError, match=r"127\.0\.0\.1"):
            asking.ask("GET", "/")
        assert len(peer.requests) == 2
        asking.close()
