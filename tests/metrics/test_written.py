"""Backends that send nothing anywhere: lines for CloudWatch, what a test keeps, and nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from falconkit.arena import Arena
from falconkit.errors import ConfigurationError
from falconkit.metrics import Distribution, Metrics
from falconkit.metrics.cloudwatch_emf import CloudWatchEMF
from falconkit.metrics.discard import Discard
from falconkit.metrics.sample import Sample, SeriesKey
from falconkit.testing import KeptMetrics, ManualClock


@pytest.fixture
def metrics(arena: Arena) -> Iterator[Metrics]:
    metrics = Metrics(arena=arena)
    yield metrics
    metrics.close()


def test_one_line_for_each_set_of_dimensions(metrics: Metrics) -> None:
    lines: list[str] = []
    clock = ManualClock(time=1_750_000_000.5)
    backend = CloudWatchEMF("Shop", dimensions={"Stage": "prod"}, write=lines.append, clock=clock)
    metrics.add_backend(backend)
    count = metrics.counter("request.count", ("endpoint",))
    count.labels("add").add(3)
    count.labels("é").add()
    seconds = metrics.histogram("request.seconds", ("endpoint",))
    for value in (0.25, 0.25, 4.0):
        seconds.labels("add").observe(value)
    metrics.gauge("depth").set(0)
    metrics.histogram("size", unit="byte").observe(0)
    metrics.flush()
    documents = sorted(map(json.loads, lines), key=lambda each: each.get("endpoint", ""))
    directives = [each["_aws"]["CloudWatchMetrics"][0] for each in documents]
    assert all(line.endswith("}\n") and line.count("\n") == 1 for line in lines)
    assert {each["_aws"]["Timestamp"] for each in documents} == {1_750_000_000_500}
    assert {each["Namespace"] for each in directives} == {"Shop"}
    assert [each["Dimensions"] for each in directives] == [
        [["Stage"]],
        [["Stage", "endpoint"]],
        [["Stage", "endpoint"]],
    ]
    assert [each["Metrics"] for each in directives] == [
        [{"Name": "depth", "Unit": "None"}, {"Name": "size", "Unit": "Bytes"}],
        [{"Name": "request.count", "Unit": "Count"}],
        [
            {"Name": "request.count", "Unit": "Count"},
            {"Name": "request.seconds", "Unit": "Seconds"},
        ],
    ]
    assert [each.get("endpoint") for each in documents] == [None, "_", "add"]
    assert documents[2]["request.count"] == 3
    assert documents[2]["request.seconds"] == {
        "Values": [0.248411, 4.00451],
        "Counts": [2, 1],
        "Min": 0.248411,
        "Max": 4.00451,
        "Count": 3,
        "Sum": 4.5,
    }


def test_what_did_not_change_is_not_written_again(metrics: Metrics) -> None:
    lines: list[str] = []
    metrics.add_backend(CloudWatchEMF("Shop", write=lines.append))
    metrics.counter("calls").add()
    metrics.flush()
    metrics.flush()
    assert len(lines) == 1


def test_a_line_reaches_a_pipe_in_one_piece(metrics: Metrics) -> None:
    lines: list[str] = []
    metrics.add_backend(CloudWatchEMF("Shop", write=lines.append, values=100))
    for n in range(300):
        metrics.counter(f"counter.number.{n}").add(n + 1)
        for value in range(150) if n < 5 else ():
            metrics.histogram(f"histogram.{n}").observe(value + 0.12345)
    metrics.flush()
    assert max(len(line) for line in lines) <= 4096
    written = [json.loads(line) for line in lines]
    for each in written:
        assert len(each["_aws"]["CloudWatchMetrics"][0]["Metrics"]) <= 100
    counters = {name: value for each in written for name, value in each.items()}
    assert all(counters[f"counter.number.{n}"] == n + 1 for n in range(300))
    assert all(counters[f"histogram.{n}"]["Count"] == 150 for n in range(5))
    assert all(sum(counters[f"histogram.{n}"]["Counts"]) == 150 for n in range(5))


def test_two_metrics_of_one_name_have_a_line_each() -> None:
    # Another version of the program left one in the arena, of another kind.
    lines: list[str] = []
    keys = [SeriesKey(kind, "calls", "", ()) for kind in ("counter", "gauge")]
    CloudWatchEMF("Shop", write=lines.append).send([Sample(keys[0], 3.0), Sample(keys[1], 5.0)])
    assert sorted(json.loads(line)["calls"] for line in lines) == [3.0, 5.0]


@pytest.mark.parametrize(
    ("name", "labels"),
    [
        ("endpoint", ("endpoint",)),
        ("calls", ("_aws",)),
        ("_aws", ()),
        ("Stage", ()),
        ("calls", ("Stage",)),
        ("calls", tuple("abcdefgh")),
    ],
)
def test_what_a_line_cannot_have_is_refused(
    metrics: Metrics, name: str, labels: tuple[str, ...]
) -> None:
    dimensions = {"Stage": "prod", "Zone": "a"}
    metrics.add_backend(CloudWatchEMF("Shop", dimensions=dimensions))
    with pytest.raises(ConfigurationError):
        metrics.counter(name, labels)


@pytest.mark.parametrize(
    "options",
    [
        {"namespace": ""},
        {"namespace": "AWS/EC2"},
        {"namespace": "a b"},
        {"namespace": "a" * 256},
        {"values": 0},
        {"values": 101},
        {"interval": 0},
        {"dimensions": {"a": "é"}},
    ],
)
def test_bad_options_of_cloudwatch(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        CloudWatchEMF(**({"namespace": "Shop"} | options))


def test_lines_go_to_the_process_output(tmp_path: Path) -> None:
    source = f"""
from falconkit.arena import Arena
from falconkit.metrics import Metrics
from falconkit.metrics.cloudwatch_emf import CloudWatchEMF
metrics = Metrics(arena=Arena({str(tmp_path / "run")!r}))
metrics.add_backend(CloudWatchEMF("Shop"))
metrics.counter("calls").add(7)
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, check=True)
    assert json.loads(done.stdout)["calls"] == 7


def test_what_is_kept_is_read_by_labels(metrics: Metrics) -> None:
    kept = KeptMetrics()
    metrics.add_backend(kept)
    count = metrics.counter("count", ("endpoint", "outcome"))
    for kept.fails in (True, False):
        count.labels("add", "ok").add(2)
        count.labels("get", "ok").add()
        metrics.gauge("depth", ("queue",)).labels("a").set(2)
        metrics.histogram("t", ("endpoint",)).labels("add").observe(1)
        metrics.flush()
    metrics.close()
    assert kept.counter("count", endpoint="add", outcome="ok") == 4
    assert kept.counter("count", outcome="ok") == kept.counter("count") == 6
    assert (kept.counter("count", endpoint="none"), kept.counter("none")) == (0, 0)
    assert (kept.gauge("depth"), kept.gauge("depth", queue="b")) == (2, 0)
    assert kept.histogram("t", endpoint="add") == Distribution.of([1, 1])
    assert kept.histogram("depth") == Distribution()
    assert kept.flushes == 3


def test_nothing_is_kept_of_what_is_discarded(metrics: Metrics) -> None:
    discard, kept = Discard(), KeptMetrics()
    metrics.add_backend(discard)
    metrics.counter("calls").add()
    metrics.flush()
    metrics.add_backend(kept)
    metrics.flush()
    assert kept.counter("calls") == 0
    metrics.close()
