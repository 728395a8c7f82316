"""Performance Co-Pilot: what its own tools read of the file."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from falconkit.arena import Arena
from falconkit.errors import ConfigurationError
from falconkit.metrics import Metrics, mmv
from falconkit.metrics.pcp import PCP
from falconkit.metrics.sample import Labels
from falconkit.testing.conform_metrics import LAWS, Arrived, Quantile, Subject
from tests.metrics.servers import Pmcd, pmcd
from tests.services import lacking


@pytest.fixture(scope="module")
def server() -> Iterator[Pmcd]:
    with pmcd() as server:
        yield server


@pytest.fixture
def metrics(arena: Arena) -> Iterator[Metrics]:
    metrics = Metrics(arena=arena)
    yield metrics
    metrics.close()


def title(name: str, labels: Labels) -> str:
    return name + "".join(f",{label}={value}" for label, value in labels)


def read(server: Pmcd, name: str) -> Arrived:
    numbers: dict[str, float] = {}
    counts: dict[str, float] = {}
    sizes: dict[str, dict[float, float]] = {}
    for metric, instances in server.read(name).items():
        for instance, value in instances.items():
            for key in {f"{metric},{instance}".rstrip(","), metric}:
                numbers[key] = numbers.get(key, 0.0) + value
        base, _, what = metric.rpartition(".")
        if what == "count" and "" in instances:
            counts[base] = instances[""]
        if what.startswith("p") and "" in instances:
            sizes.setdefault(base, {})[int(what[1:]) / 100] = instances[""]
    quantiles: dict[str, Quantile] = {base: found.get for base, found in sizes.items()}
    return Arrived(numbers, numbers, counts, quantiles)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.__name__)
def test_law(law: Callable[[Subject], None], server: Pmcd, metrics: Metrics) -> None:
    name = law.__name__
    metrics.add_backend(PCP(name, folder=server.folder, interval=3600))
    law(Subject(metrics, lambda: read(server, name), title))


def fed(metrics: Metrics) -> None:
    count = metrics.counter("request.count", ("endpoint", "outcome"))
    count.labels("add", "ok").add(3)
    count.labels("a b,c", "é" * 64).add()
    metrics.gauge("depth").set(-2.5)
    for value in (0.25, 0.25, 4.0):
        metrics.histogram("t").observe(value)
    metrics.histogram("size", unit="byte").observe(1000)


def test_names_types_units_and_values(server: Pmcd, metrics: Metrics) -> None:
    metrics.add_backend(PCP("shop", folder=server.folder))
    fed(metrics)
    metrics.flush()
    found = server.read("shop")
    assert found["request.count"] == {
        "endpoint=add,outcome=ok": 3,
        f"endpoint=a_b_c,outcome={'é' * 59}": 1,
    }
    assert (found["depth"], found["t.count"], found["t.sum"]) == ({"": -2.5}, {"": 3}, {"": 4.5})
    assert found["t.p50"][""] == pytest.approx(0.25, rel=0.01)
    assert found["t.p99"][""] == pytest.approx(4, rel=0.01)
    told = server.info("-d", "-t", "mmv.shop.request.count", "mmv.shop.t.sum", "mmv.shop.depth")
    assert "The counter request.count." in told.stdout
    assert "Semantics: counter  Units: count" in told.stdout
    assert "Semantics: counter  Units: sec" in told.stdout
    assert "Semantics: instant  Units: none" in told.stdout
    assert "Units: byte" in server.info("-d", "mmv.shop.size.sum").stdout


def test_the_file_is_written_in_place_while_there_is_nothing_new(
    server: Pmcd, metrics: Metrics
) -> None:
    metrics.add_backend(PCP("same", folder=server.folder))
    file = server.folder / "same"
    calls = metrics.counter("calls", ("who",))
    files = set()
    for n in range(3):
        calls.labels("a").add()
        metrics.flush()
        files.add(file.stat().st_ino)
        assert server.read("same")["calls"] == {"who=a": n + 1}
    assert len(files) == 1
    before = server.info("-m", "mmv.same.calls").stdout
    calls.labels("b").add()
    metrics.counter("others").add()
    metrics.flush()
    assert file.stat().st_ino not in files
    assert server.read("same") == {"calls": {"who=a": 3, "who=b": 1}, "others": {"": 1}}
    # A metric's id stays: whoever records it goes on.
    assert server.info("-m", "mmv.same.calls").stdout == before
    assert [each.name for each in server.folder.iterdir() if each.name.startswith(".")] == []


def test_the_file_is_what_pcp_s_own_dump_reads(tmp_path: Path, metrics: Metrics) -> None:
    dump = Path("/usr/lib/pcp/pmdas/mmv/mmvdump")
    if not dump.exists():
        lacking("mmvdump (pcp)")
    metrics.add_backend(PCP("shop", folder=tmp_path))
    fed(metrics)
    for n in range(300):
        metrics.counter(f"many.c{n}", ("who",)).labels("a").add(n)
    metrics.flush()
    done = subprocess.run([dump, tmp_path / "shop"], capture_output=True, text=True, check=True)
    assert "Version    = 2" in done.stdout
    assert "many.c299" in done.stdout
    assert not done.stderr


def test_ids_are_apart_and_stay_when_others_come() -> None:
    names = [f"metric{n}" for n in range(1000)]
    few, many = mmv._ids(names[:10], 1 << 10), mmv._ids(names, 1 << 10)
    assert len({*many.values()}) == 1000
    assert all(0 < each < 1024 for each in many.values())
    assert {name: many[name] for name in few} == few


def test_what_another_version_left_spoils_nothing(
    server: Pmcd, arena: Arena, metrics: Metrics
) -> None:
    old = Metrics(arena=arena)
    old.counter("calls").add(5)
    old.gauge("depth").set(1)
    metrics.add_backend(PCP("left", folder=server.folder))
    metrics.counter("calls", ("who",)).labels("a").add()
    metrics.counter("depth").add(7)
    metrics.flush()
    assert server.read("left") == {"calls": {"none": 5, "who=a": 1}, "depth": {"": 7}}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda m: m.counter("a"), lambda m: m.counter("a.b")),
        (lambda m: m.counter("a.b"), lambda m: m.gauge("a")),
        (lambda m: m.histogram("a"), lambda m: m.counter("a.count")),
        (lambda m: m.counter("a.p50.b"), lambda m: m.histogram("a")),
        (lambda m: m.counter("ok"), lambda m: m.counter("_a")),
        (lambda m: m.counter("ok"), lambda m: m.counter("a..b")),
        (lambda m: m.counter("ok"), lambda m: m.counter("a.1")),
        (lambda m: m.counter("ok"), lambda m: m.counter("b", tuple(c * 40 for c in "abcdefgh"))),
        (lambda m: [m.histogram(f"h{n}") for n in range(166)], lambda m: m.histogram("more")),
    ],
)
def test_what_has_no_place_is_refused(
    metrics: Metrics, first: Callable[[Metrics], object], second: Callable[[Metrics], object]
) -> None:
    metrics.add_backend(PCP("shop", folder="/nowhere"))
    first(metrics)
    metrics.counter("a_b")
    with pytest.raises(ConfigurationError):
        second(metrics)


@pytest.mark.parametrize(
    "options", [{"name": ""}, {"name": "a.b"}, {"name": "1a"}, {"name": 1}, {"interval": 0}]
)
def test_bad_options(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        PCP(**({"name": "shop"} | options))


def test_the_folder_is_pcp_s(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PCP_TMP_DIR", raising=False)
    assert PCP("shop")._file == Path("/var/lib/pcp/tmp/mmv/shop")
    monkeypatch.setenv("PCP_TMP_DIR", "/tmp/x")
    assert PCP("shop")._file == Path("/tmp/x/mmv/shop")


def test_a_folder_that_is_not_there_is_told(
    metrics: Metrics, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    metrics.add_backend(PCP("shop", folder=tmp_path / "none"))
    metrics.counter("calls").add()
    metrics.flush()
    assert "metrics are not sent to pcp" in caplog.records[0].message
    (tmp_path / "none").mkdir()
    metrics.flush()
    assert os.listdir(tmp_path / "none") == ["shop"]
