from __future__ import annotations

import os
import random
import threading

import pytest

from falconkit.errors import ConfigurationError, UpstreamFailed, UpstreamUnavailable
from falconkit.sd import Balancer, Endpointer, Instance, Snapshot, Static, checked
from falconkit.sd.checks import Checks, Rules
from falconkit.testing import ManualClock, wait_until
from falconkit.testing.conform_instancer import Ear
from falconkit.testing.peer import Peer, answer
from falconkit.transport.http.probe import ReadyProbe
from tests.sd.doubles import Factory, Told

A, B = Instance("a", 1), Instance("b", 1)


class Patient:
    """A probe of instances that are ill as a test says, which counts its questions."""

    def __init__(self) -> None:
        self.ill, self.asked = set(), []

    def __call__(self, instance):
        self.asked.append(instance.address)
        if instance.address in self.ill:
            raise OSError("ill")


def checks(probe, clock, **rules):
    given = {"every": 10.0, "ill_after": 3, "well_after": 2, "threads": 4, **rules}
    return Checks(probe, Rules(**given), clock=clock, rng=random.Random(1))


def test_it_takes_three_bad_answers_in_a_row_and_two_good_ones():
    probe, clock = Patient(), ManualClock()
    one, seen = checks(probe, clock), []
    for ill in (1, 1, 0, 1, 1, 1, 0, 1, 0, 0):
        probe.ill = {"a:1"} if ill else set()
        one.run([A, B])
        seen.append("a:1" in one.ill)
        clock.advance(11.0)
    assert seen == [False] * 5 + [True] * 4 + [False]
    one.close()


def test_each_is_asked_at_its_own_time():
    probe, clock = Patient(), ManualClock()
    one = checks(probe, clock)
    due = one.run([A, B])
    assert sorted(probe.asked) == ["a:1", "b:1"]
    assert 9.0 <= due <= 11.0
    assert one.run([A, B]) == due
    clock.advance(due)
    one.run([A, B])
    assert len(probe.asked) == 3  # one of the two is due, the other a little later
    one.close()


def test_one_that_left_is_forgotten():
    probe, clock = Patient(), ManualClock()
    probe.ill = {"a:1"}
    one = checks(probe, clock, ill_after=1)
    one.run([A, B])
    assert one.ill == {"a:1"}
    one.run([B])
    one.run([A, B])
    assert one.ill == {"a:1"}  # asked anew, and found ill anew
    assert probe.asked.count("a:1") == 2
    one.close()


def test_the_ill_are_not_called_and_come_back(tmp_path):
    probe, told = Patient(), Told("a:1", "b:1", "c:1")
    watched = checked(told, probe, service="counter", every=0.01, directory=tmp_path)
    call = Balancer(Endpointer(watched, Factory()))

    def healthy():
        rows = call.status()
        return {each["instance"] for each in rows if each["healthy"]} if rows else None

    wait_until(lambda: healthy() == {"a:1", "b:1", "c:1"})
    probe.ill = {"b:1"}
    wait_until(lambda: healthy() == {"a:1", "c:1"})
    told.fail(OSError("the registry is away"))
    probe.ill = {"c:1"}
    wait_until(lambda: healthy() == {"a:1", "b:1"})  # it goes on asking meanwhile
    told.tell("a:1", "d:1")
    wait_until(lambda: healthy() == {"a:1", "d:1"})
    call.close()
    watched.close()
    names = [each.name for each in threading.enumerate()]
    assert not [each for each in names if each.startswith("falconkit-sd-check")]


def test_one_of_a_host_asks_and_the_others_know(tmp_path):
    probes = [Patient() for _ in range(3)]
    for probe in probes:
        probe.ill = {"b:1"}
    ears, all_of_them = [], []
    for probe in probes:
        all_of_them.append(
            checked(
                Static("a:1", "b:1", "c:1"),
                probe,
                service="counter",
                every=0.02,
                ill_after=1,
                directory=tmp_path,
            )
        )
        ears.append(Ear())
        all_of_them[-1].listen(ears[-1])

    def known(ear):
        return ear.heard and [e.address for e in ear.heard[-1].instances if not e.healthy]

    for ear in ears:
        wait_until(lambda: known(ear) == ["b:1"])  # noqa: B023
    assert sum(bool(probe.asked) for probe in probes) == 1
    (leader,) = [n for n, probe in enumerate(probes) if probe.asked]
    all_of_them[leader].close()
    wait_until(lambda: sum(bool(probe.asked) for probe in probes) == 2)
    for each in all_of_them:
        each.close()


def test_a_notice_that_is_old_or_rubbish_is_not_believed(tmp_path):
    from falconkit.sd.election import Election
    from falconkit.sd.noticeboard import Noticeboard

    clock = ManualClock()
    writer, reader = (
        Noticeboard(Election("x", directory=tmp_path), "x", 10.0, clock) for _ in range(2)
    )
    assert writer.mine()
    assert not reader.mine()
    assert reader.read() == frozenset()
    writer.write(frozenset({"a:1"}))
    clock.advance(30.0)
    assert reader.read() == {"a:1"}
    clock.advance(0.1)
    assert reader.read() == frozenset()
    (file,) = tmp_path.glob("*.json")
    for rubbish in ("", "[]", "{}", '{"at":"x","words":1}', '{"at":1e9,"words":1}'):
        file.write_text(rubbish)
        assert reader.read() == frozenset()
    writer.close()
    reader.close()


def test_the_probe_of_http_asks_ready():
    with Peer(answer(200, b"ok"), answer(503), answer(404)) as peer:
        instance = Instance("127.0.0.1", peer.port)
        probe = ReadyProbe()
        before = len(os.listdir("/proc/self/fd"))
        probe(instance)
        for kind in (UpstreamUnavailable, UpstreamFailed):
            with pytest.raises(kind):
                probe(instance)
        assert peer.requests[0].target == "/health/ready"
    with pytest.raises(UpstreamUnavailable):
        probe(instance)
    assert len(os.listdir("/proc/self/fd")) <= before


@pytest.mark.parametrize(
    "wrong", [{"every": 0}, {"ill_after": 0}, {"well_after": 0}, {"threads": 0}]
)
def test_what_cannot_work_is_said_at_once(wrong):
    with pytest.raises(ConfigurationError):
        checked(Static("a:1"), Patient(), service="counter", **wrong)
    with pytest.raises(ConfigurationError):
        ReadyProbe(timeout=0)


def test_snapshots_pass_as_they_are(tmp_path):
    told, ear = Told(), Ear()
    watched = checked(told, Patient(), service="x", every=0.01, directory=tmp_path)
    watched.listen(ear)
    failure = OSError("away")
    wait_until(lambda: told.listeners)
    told.tell("a:1")
    ear.wait_for("a:1")
    told.fail(failure)
    wait_until(lambda: ear.heard[-1] == Snapshot((A,), failure))
    watched.close()
