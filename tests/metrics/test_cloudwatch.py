"""CloudWatch's client: before moto's server, and before a reader as strict as the reference."""

from __future__ import annotations

import gzip
import json
import logging
import multiprocessing
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from falconkit.arena import Arena
from falconkit.errors import ConfigurationError, UpstreamUnavailable
from falconkit.metrics import Distribution, Metrics, cloudwatch_client
from falconkit.metrics.cloudwatch import CloudWatch
from falconkit.metrics.distribution import value_of
from falconkit.metrics.sample import Sample, SeriesKey
from falconkit.testing.conform_metrics import LAWS, Subject, a_gauge_is_what_it_is_now
from tests.metrics.aws import NAMESPACE, Moto, credentials, moto_server, read
from tests.metrics.benches import cloudwatch_arrived, moto_bench, tagged
from tests.tracing.receiver import Receiver, Silent

fork = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def _credentials() -> Iterator[None]:
    with credentials():
        yield


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with moto_server() as moto:
        yield moto


@pytest.fixture
def service() -> Iterator[Receiver]:
    with Receiver() as service:
        yield service


@pytest.fixture
def metrics(arena: Arena) -> Iterator[Metrics]:
    metrics = Metrics(arena=arena)
    yield metrics
    metrics.close()


def sending(metrics: Metrics, service: Receiver, **options: Any) -> CloudWatch:
    backend = CloudWatch(NAMESPACE, endpoint_url=service.url, **({"interval": 3600} | options))
    metrics.add_backend(backend)
    return backend


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == "falconkit.metrics"]


# It has no last value to tell: of a second it knows the average, as CloudWatch does.
TOLD = [law for law in LAWS if law is not a_gauge_is_what_it_is_now]


@pytest.mark.parametrize("law", TOLD, ids=lambda law: law.__name__)
def test_moto_has_it(law: Callable[[Subject], None], moto: Moto, tmp_path: Path) -> None:
    moto.reset()
    with moto_bench(moto, tmp_path / "run") as subject:
        law(subject)


def test_moto_has_a_gauge(moto: Moto, tmp_path: Path) -> None:
    moto.reset()
    with moto_bench(moto, tmp_path / "run") as subject:
        subject.metrics.gauge("depth").set(-2.5)
        subject.metrics.flush()
        assert subject.read().gauges == {tagged("depth", ()): -2.5}


def test_another_protocol_of_botocores(
    moto: Moto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import botocore

    moto.reset()
    (found,) = Path(botocore.__file__).parent.glob("data/cloudwatch/2010-08-01/service-2.json*")
    model = json.loads(gzip.decompress(found.read_bytes()))
    model["metadata"] |= {"protocol": "query", "protocols": ["query"]}
    folder = tmp_path / "models/cloudwatch/2010-08-01"
    folder.mkdir(parents=True)
    (folder / "service-2.json").write_text(json.dumps(model))
    with moto_bench(moto, tmp_path / "run") as subject:
        with monkeypatch.context() as patched:
            patched.setenv("AWS_DATA_PATH", str(tmp_path / "models"))
            subject.metrics.counter("calls", ("who",)).labels("ann").add(3)
            subject.metrics.histogram("t").observe(1.0)
            subject.metrics.flush()
        arrived = subject.read()
    assert arrived.counters == {tagged("calls", (("who", "ann"),)): 3, tagged("calls", ()): 3}
    assert arrived.counts == {tagged("t", ()): 1}


def test_the_metrics_of_one_interval(metrics: Metrics, service: Receiver) -> None:
    sending(metrics, service, dimensions={"Stage": "prod"})
    metrics.counter("calls", ("who",)).labels("ann").add(3)
    metrics.gauge("depth").set(-2.5)
    for seconds in (0.25, 0.25, 4.0):
        metrics.histogram("t").observe(seconds)
    metrics.histogram("size", unit="byte").observe(0)
    metrics.flush()
    (post,) = service.posts
    stage = {"Name": "Stage", "Value": "prod"}
    assert sorted(read(post), key=lambda each: each["MetricName"]) == [
        {
            "MetricName": "calls",
            "Unit": "Count",
            "Dimensions": [stage, {"Name": "who", "Value": "ann"}],
            "Value": 3.0,
        },
        {"MetricName": "depth", "Unit": "None", "Dimensions": [stage], "Value": -2.5},
        {
            "MetricName": "size",
            "Unit": "Bytes",
            "Dimensions": [stage],
            "Values": [0],
            "Counts": [1],
            "StatisticValues": {"SampleCount": 1, "Sum": 0, "Minimum": 0, "Maximum": 0},
        },
        {
            "MetricName": "t",
            "Unit": "Seconds",
            "Dimensions": [stage],
            "Values": [pytest.approx(0.25, rel=0.01), pytest.approx(4.0, rel=0.01)],
            "Counts": [2, 1],
            "StatisticValues": {
                "SampleCount": 3,
                "Sum": pytest.approx(4.5),
                "Minimum": pytest.approx(0.25, rel=0.01),
                "Maximum": pytest.approx(4.0, rel=0.01),
            },
        },
    ]
    metrics.flush()
    assert {each["MetricName"] for each in read(service.posts[1])} == {"depth"}


def test_high_resolution_is_asked_for(metrics: Metrics, service: Receiver) -> None:
    backend = sending(metrics, service, interval=10.0, high_resolution=True)
    metrics.counter("calls").add()
    metrics.histogram("t").observe(1.0)
    metrics.flush()
    assert backend.interval == 10.0
    assert [each["StorageResolution"] for each in read(service.posts[0])] == [1, 1]


def test_no_call_is_over_the_limits(metrics: Metrics, service: Receiver) -> None:
    sending(metrics, service, dimensions={f"Dimension{n}": "x" * 64 for n in range(22)})
    labels = tuple(f"{letter * 40}" for letter in "abcdefgh")
    for metric in ("one", "two", "three"):
        calls = metrics.counter(metric, labels)
        for n in range(900):
            calls.labels(*(f"{n}{letter * 60}" for letter in labels)).add(n + 1)
    metrics.flush()
    assert len(service.posts) > 3
    sizes = [len(gzip.decompress(body)) for _, _, body in service.posts]
    assert max(sizes) <= 1_000_000
    assert min(sizes[:-1]) > 990_000
    arrived = cloudwatch_arrived(service.posts).counters
    assert [arrived[tagged(name, ())] for name in ("one", "two", "three")] == [900 * 901 / 2] * 3


def test_no_call_has_over_a_thousand_metrics(metrics: Metrics, service: Receiver) -> None:
    sending(metrics, service)
    for metric in ("one", "two", "three"):
        for n in range(700):
            metrics.counter(metric, ("n",)).labels(n).add()
    metrics.flush()
    assert [len(read(post)) for post in service.posts] == [1000, 1000, 100]


def test_a_wide_histogram_goes_whole(metrics: Metrics, service: Receiver) -> None:
    sending(metrics, service)
    seen = [value_of(bucket) for bucket in range(1, 2301, 5)]
    for value in seen:
        metrics.histogram("t").observe(value)
    metrics.flush()
    (post,) = service.posts
    parts = read(post)
    assert len(parts) == -(-len(seen) // 150)
    values = [value for part in parts for value in part["Values"]]
    assert values == [pytest.approx(each, rel=0.02) for each in seen]
    assert sum(each["StatisticValues"]["SampleCount"] for each in parts) == len(seen)
    assert sum(each["StatisticValues"]["Sum"] for each in parts) == pytest.approx(sum(seen))


def test_numbers_that_cloudwatch_refuses_are_not_sent(metrics: Metrics, service: Receiver) -> None:
    sending(metrics, service)
    metrics.counter("large").add(1e300)
    metrics.gauge("low").set(-1e300)
    metrics.gauge("small").set(1e-300)
    metrics.histogram("t").observe(1e300)
    metrics.flush()
    found = {each["MetricName"]: each for each in read(service.posts[0])}
    assert found["large"]["Value"] == 2.0**360
    assert found["low"]["Value"] == -(2.0**360)
    assert found["small"]["Value"] == 0.0
    assert found["t"]["StatisticValues"]["Sum"] == pytest.approx(2.0**360)


def test_what_failed_is_added_to_the_next(
    metrics: Metrics, service: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    service.statuses += [500, 403]
    sending(metrics, service)
    with caplog.at_level(logging.INFO, "falconkit.metrics"):
        for _ in range(3):
            metrics.counter("calls").add()
            metrics.histogram("t").observe(1.0)
            metrics.flush()
    assert len(service.posts) == 3  # an attempt each: botocore's own would be in the way
    arrived = cloudwatch_arrived(service.posts[2:])
    assert arrived.counters == {tagged("calls", ()): 3}
    assert arrived.counts == {tagged("t", ()): 3}
    warning, again = told(caplog)
    assert warning.startswith("metrics are not sent to cloudwatch, trying again: CloudWatch: ")
    assert again == "cloudwatch takes metrics again"


@pytest.mark.parametrize("statuses", [[202, 500], [202, 500, 500, 202], [202, 202, 500, 500]])
def test_what_went_in_part_is_completed_and_nothing_goes_twice(
    metrics: Metrics, service: Receiver, statuses: list[int]
) -> None:
    planned = [*statuses]
    service.statuses += statuses
    sending(metrics, service)
    calls = [metrics.counter(name, ("n",)) for name in ("one", "two", "three")]
    for _ in range(4):
        for each in calls:
            for n in range(700):
                each.labels(n).add()
        metrics.flush()
    metrics.flush()
    statuses = planned + [202] * (len(service.posts) - len(planned))
    taken = [post for post, status in zip(service.posts, statuses, strict=True) if status == 202]
    assert cloudwatch_arrived(taken).counters[tagged("one", ())] == 4 * 700
    assert cloudwatch_arrived(taken).counters[tagged("three", (("n", "699"),))] == 4


def test_what_is_left_at_the_end_is_told(
    metrics: Metrics, service: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    service.statuses += [202, 500]
    backend = sending(metrics, service)
    for metric in ("one", "two"):
        for n in range(700):
            metrics.counter(metric, ("n",)).labels(n).add()
    metrics.flush()
    backend.close()
    backend.close()
    assert told(caplog) == ["1 calls of metrics could not reach CloudWatch"]


def test_a_child_owes_nothing_of_its_parents(metrics: Metrics, service: Receiver) -> None:
    service.statuses += [202, 500]
    backend = sending(metrics, service)
    for metric in ("one", "two"):
        for n in range(700):
            metrics.counter(metric, ("n",)).labels(n).add()
    metrics.flush()
    assert len(service.posts) == 2

    def work() -> None:
        metrics.counter("child").add(10)
        metrics.close()

    child = fork.Process(target=work)
    child.start()
    child.join(60)
    assert child.exitcode == 0
    arrived = cloudwatch_arrived([service.posts[0], *service.posts[2:]]).counters
    assert arrived[tagged("child", ())] == 10
    assert sum(arrived[tagged(name, ())] for name in ("one", "two")) == 1000
    backend.send([])
    arrived = cloudwatch_arrived([service.posts[0], *service.posts[2:]]).counters
    assert [arrived[tagged(name, ())] for name in ("one", "two")] == [700, 700]


def test_a_service_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cloudwatch_client, "_PATIENCE", 0.05)
    with Silent() as silent:
        backend = CloudWatch(NAMESPACE, endpoint_url=silent.url)
        with pytest.raises(UpstreamUnavailable, match=r"CloudWatch: .*timeout"):
            backend.send([Sample(SeriesKey("counter", "calls", "", ()), 1.0)])
        assert silent.accepted == 1
        backend.close()


@pytest.mark.parametrize(
    ("lacks", "said"),
    [
        ("AWS_DEFAULT_REGION", "You must specify a region"),
        ("AWS_ACCESS_KEY_ID", "Unable to locate credentials"),
    ],
)
def test_what_botocore_lacks_is_said_and_then_found(
    metrics: Metrics,
    service: Receiver,
    lacks: str,
    said: str,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sending(metrics, service)
    with monkeypatch.context() as patched:
        patched.delenv(lacks)
        metrics.counter("calls").add()
        metrics.flush()
    assert said in told(caplog)[0]
    metrics.counter("calls").add()
    metrics.flush()
    assert cloudwatch_arrived(service.posts).counters == {tagged("calls", ()): 2}


def test_an_address_that_is_none_is_only_told_of(
    metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    metrics.add_backend(CloudWatch(NAMESPACE, interval=3600, endpoint_url="nowhere"))
    metrics.counter("calls").add()
    metrics.flush()
    assert "Invalid endpoint: nowhere" in told(caplog)[0]


@pytest.mark.parametrize("interval", [0, -1, float("nan")])
def test_a_bad_interval(interval: float) -> None:
    with pytest.raises(ConfigurationError, match="give interval > 0"):
        CloudWatch(NAMESPACE, interval=interval)


def test_more_dimensions_than_cloudwatch_takes(metrics: Metrics, service: Receiver) -> None:
    sending(metrics, service, dimensions={f"D{n}": "x" for n in range(29)})
    metrics.counter("calls", ("who",)).labels("ann").add()
    with pytest.raises(ConfigurationError, match="more has 31 dimensions, 30 are the most"):
        metrics.counter("more", ("who", "what"))
    with pytest.raises(ConfigurationError, match="'D3' is a constant tag"):
        metrics.counter("again", ("D3",))


def test_without_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "botocore.config", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'falconkit\[cloudwatch\]'"):
        CloudWatch(NAMESPACE)


def test_botocore_is_imported_by_who_uses_it() -> None:
    source = "import sys, falconkit.metrics.cloudwatch; assert 'botocore' not in sys.modules"
    subprocess.run([sys.executable, "-c", source], check=True, timeout=60)


def test_a_histogram_of_nothing_is_not_sent(service: Receiver) -> None:
    backend = CloudWatch(NAMESPACE, endpoint_url=service.url)
    backend.send([Sample(SeriesKey("histogram", "t", "s", ()), Distribution())])
    assert service.posts == []
    backend.close()
