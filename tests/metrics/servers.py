"""Real receivers of metrics for tests, each started on loopback by whoever asks for it."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.services import _answers as answers
from tests.services import _child as child
from tests.services import free_port, require


def ask(url: str, data: bytes | None = None, **headers: str) -> bytes:
    """Return the body of an answer; no proxy is asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, data=data, headers=headers)
    with opener.open(request, timeout=20) as answer:
        return bytes(answer.read())


class PrometheusServer:
    """A Prometheus, asked by its API."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        found = self._api("query?" + urllib.parse.urlencode({"query": expression}))["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]

    def value(self, expression: str) -> float | None:
        found = self.query(expression)
        return found[0][1] if found else None

    def targets(self) -> list[dict[str, Any]]:
        return self._api("targets")["activeTargets"]

    def exemplars(self, expression: str) -> list[dict[str, Any]]:
        times = {"start": "0", "end": "4000000000"}
        return self._api("query_exemplars?" + urllib.parse.urlencode({"query": expression} | times))

    def _api(self, what: str) -> Any:
        return json.loads(ask(f"{self.url}/api/v1/{what}"))["data"]


@contextlib.contextmanager
def prometheus_server(**targets: int) -> Iterator[PrometheusServer]:
    """Start Prometheus, which scrapes ports of loopback by the names of their jobs."""
    command, port = require("prometheus"), free_port()
    jobs = [
        {"job_name": job, "static_configs": [{"targets": [f"127.0.0.1:{at}"]}]}
        for job, at in targets.items()
    ]
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "prometheus.yml")
        times = {"scrape_interval": "100ms", "scrape_timeout": "100ms"}
        # JSON is YAML.
        config.write_text(
            json.dumps(
                {
                    "global": times,
                    "scrape_configs": jobs,
                    "storage": {"exemplars": {"max_exemplars": 1000}},
                }
            )
        )
        argv = [command, f"--config.file={config}", f"--storage.tsdb.path={folder}/data"]
        argv += [f"--web.listen-address=127.0.0.1:{port}", "--enable-feature=exemplar-storage"]
        question = b"GET /-/ready HTTP/1.0\r\n\r\n"
        with child(argv, answers(port, question, b" 200 "), Path(folder)):
            yield PrometheusServer(f"http://127.0.0.1:{port}")


def promtool(text: str) -> str:
    """Return what ``promtool check metrics`` says about an exposition, ``""`` for nothing."""
    done = subprocess.run(
        [require("promtool"), "check", "metrics"],
        input=text.encode(),
        capture_output=True,
        check=False,
    )
    said = (done.stdout + done.stderr).decode()
    return said or ("" if done.returncode == 0 else f"exit {done.returncode}")
