"""Receivers of CloudWatch's calls: moto's server, and a reader as strict as the API reference."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from tests.metrics.servers import ask
from tests.services import _answers as answers
from tests.services import _child as child
from tests.services import free_port, lacking

NAMESPACE = "Shop"
Post = tuple[str, dict[str, str], bytes]
Labels = tuple[tuple[str, str], ...]


@contextmanager
def credentials(**environ: str) -> Iterator[None]:
    """Have some, and nothing else of this machine's that botocore would find."""
    theirs = [name for name in os.environ if name.startswith("AWS_")]
    ours = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "*",
    }
    with patch.dict(os.environ, ours | environ):
        for name in set(theirs) - ours.keys() - environ.keys():
            del os.environ[name]
        yield


def read(post: Post) -> list[dict[str, Any]]:
    """Return the metrics of one call.

    Raises:
        AssertionError: CloudWatch would refuse it.
    """
    _, headers, body = post
    assert headers["x-amz-target"] == "GraniteServiceVersion20100801.PutMetricData"
    assert headers["content-type"] == "application/x-amz-json-1.0"
    assert headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=")
    assert headers["content-encoding"] == "gzip"
    text = gzip.decompress(body)
    assert len(text) <= 1_000_000
    document = json.loads(text.decode("ascii"))
    assert document.keys() == {"Namespace", "MetricData"}
    assert document["Namespace"] == NAMESPACE
    assert 1 <= len(document["MetricData"]) <= 1000
    for metric in document["MetricData"]:
        _check(metric)
    found: list[dict[str, Any]] = document["MetricData"]
    return found


def _check(metric: dict[str, Any]) -> None:
    assert 1 <= len(metric["MetricName"]) <= 255
    assert metric["Unit"] in ("Count", "Seconds", "Bytes", "None")
    assert metric.get("StorageResolution", 1) == 1
    assert len(metric["Dimensions"]) <= 30
    names = [each["Name"] for each in metric["Dimensions"]]
    assert len({*names}) == len(names)
    for each in metric["Dimensions"]:
        assert each.keys() == {"Name", "Value"}
        assert 1 <= len(each["Name"]) <= 255
        assert 1 <= len(each["Value"]) <= 1024
        assert each["Value"].strip()
        assert each["Value"].isascii()
        assert each["Value"].isprintable()
    extra = metric.keys() - {"MetricName", "Unit", "Dimensions", "StorageResolution"}
    if extra == {"Value"}:
        _number(metric["Value"])
        return
    assert extra == {"Values", "Counts", "StatisticValues"}
    assert 1 <= len(metric["Values"]) == len({*metric["Values"]}) <= 150
    assert len(metric["Counts"]) == len(metric["Values"])
    for number in (*metric["Values"], *metric["Counts"]):
        _number(number)
    told = metric["StatisticValues"]
    assert told["SampleCount"] == sum(metric["Counts"])
    mean = _number(told["Sum"]) / told["SampleCount"]
    assert _number(told["Minimum"]) <= mean * (1 + 1e-9)
    assert _number(told["Maximum"]) >= mean * (1 - 1e-9)


def _number(value: float) -> float:
    assert value == 0 or 2.0**-360 <= abs(value) <= 2.0**360
    return value


@dataclass
class Moto:
    """moto's CloudWatch, asked by botocore."""

    url: str

    def client(self) -> Any:
        from botocore.session import Session

        return Session().create_client("cloudwatch", endpoint_url=self.url)

    def reset(self) -> None:
        """Forget everything."""
        ask(f"{self.url}/moto-api/reset", b"")

    def statistics(self) -> dict[tuple[str, Labels, str], list[dict[str, float]]]:
        """Return the seconds of each series, by name, dimensions and unit."""
        client = self.client()
        now, day = datetime.now(UTC), timedelta(days=1)
        pages = client.get_paginator("list_metrics").paginate(Namespace=NAMESPACE)
        listed = [metric for page in pages for metric in page["Metrics"]]
        series = {
            (each["MetricName"], tuple((d["Name"], d["Value"]) for d in each["Dimensions"]))
            for each in listed
        }
        found = {}
        for name, labels in series:
            points = client.get_metric_statistics(
                Namespace=NAMESPACE,
                MetricName=name,
                Dimensions=[{"Name": label, "Value": value} for label, value in labels],
                StartTime=now - day,
                EndTime=now + day,
                Period=1,
                Statistics=["Sum", "SampleCount", "Average"],
            )["Datapoints"]
            points.sort(key=lambda each: each["Timestamp"])
            found[name, labels, points[-1]["Unit"]] = points
        client.close()
        return found


@contextmanager
def moto_server() -> Iterator[Moto]:
    """Start moto's server, a process of its own."""
    if importlib.util.find_spec("moto") is None:
        lacking("moto")
    port = free_port()
    question = b"GET /moto-api/ HTTP/1.0\r\n\r\n"
    with tempfile.TemporaryDirectory() as folder:
        argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
        with child(argv, answers(port, question, b" 200 "), Path(folder), timeout=120):
            yield Moto(f"http://127.0.0.1:{port}")
