"""Real receivers of metrics for tests, each started on loopback by whoever asks for it."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
import socket
import struct
import subprocess
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.services import _answers as answers
from tests.services import _child as child
from tests.services import free_port, lacking, require


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


class Carbon:
    """A carbon-cache: what it has, written or not."""

    def __init__(self, folder: Path, line: int, pickled: int, query: int) -> None:
        self.ports = {"plaintext": line, "pickle": pickled}
        self.whisper, self.query = folder / "storage" / "whisper", query
        self._seen: dict[str, dict[int, float]] = {}

    def points(self, path: str) -> dict[int, float]:
        """Return what is known of a path, by Unix time."""
        # For a moment a point is in neither, while it is being written.
        seen = self._seen.setdefault(path, {})
        seen.update(self._written(path) | self._cached(path))
        return seen.copy()

    def paths(self) -> set[str]:
        """Return the paths that have been written."""
        found = (each.relative_to(self.whisper) for each in self.whisper.rglob("*.wsp"))
        return {".".join(each.with_suffix("").parts) for each in found}

    def _cached(self, path: str) -> dict[int, float]:
        question = pickle.dumps({"type": "cache-query", "metric": path}, protocol=2)
        with socket.create_connection(("127.0.0.1", self.query), timeout=20) as connection:
            connection.sendall(struct.pack("!L", len(question)) + question)
            with connection.makefile("rb") as answer:
                (length,) = struct.unpack("!L", answer.read(4))
                return dict(pickle.loads(answer.read(length))["datapoints"])

    def _written(self, path: str) -> dict[int, float]:
        file = self.whisper.joinpath(*path.split(".")).with_suffix(".wsp")
        try:
            data = file.read_bytes()
        except FileNotFoundError:
            return {}
        # One archive: see the retentions below. A file that is being made is shorter.
        at, _, points = struct.unpack_from("!3L", data.ljust(28, b"\0"), 16)
        if len(data) < at + 12 * points:
            return {}
        found = (struct.unpack_from("!Ld", data, at + 12 * n) for n in range(points))
        return {when: value for when, value in found if when}


@contextlib.contextmanager
def carbon_cache() -> Iterator[Carbon]:
    """Start carbon, which keeps each second of an hour."""
    command = require("carbon-cache")
    line, pickled, query = free_port(), free_port(), free_port()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in ("conf", "storage/whisper", "log", "pid"):
            (folder / each).mkdir(parents=True)
        options = {
            "USER": "",
            "STORAGE_DIR": f"{folder}/storage/",
            "LOCAL_DATA_DIR": f"{folder}/storage/whisper/",
            "CONF_DIR": f"{folder}/conf/",
            "LOG_DIR": f"{folder}/log/",
            "PID_DIR": f"{folder}/pid/",
            "LINE_RECEIVER_INTERFACE": "127.0.0.1",
            "LINE_RECEIVER_PORT": line,
            "PICKLE_RECEIVER_INTERFACE": "127.0.0.1",
            "PICKLE_RECEIVER_PORT": pickled,
            "CACHE_QUERY_INTERFACE": "127.0.0.1",
            "CACHE_QUERY_PORT": query,
            "MAX_CREATES_PER_MINUTE": "inf",
            "MAX_UPDATES_PER_SECOND": "inf",
            "WHISPER_AUTOFLUSH": "True",
            "ENABLE_LOGROTATION": "False",
            "CARBON_METRIC_INTERVAL": 0,
        }
        text = "".join(f"{option} = {value}\n" for option, value in options.items())
        (folder / "conf/carbon.conf").write_text(f"[cache]\n{text}")
        kept = "[all]\npattern = .*\nretentions = 1s:1h\n"
        (folder / "conf/storage-schemas.conf").write_text(kept)
        last = "[all]\npattern = .*\nxFilesFactor = 0\naggregationMethod = last\n"
        (folder / "conf/storage-aggregation.conf").write_text(last)
        argv = [command, "--config", f"{folder}/conf/carbon.conf", "--nodaemon"]
        argv += ["--pidfile", f"{folder}/pid/carbon.pid", "--logfile", "-", "start"]
        carbon = Carbon(folder, line, pickled, query)

        def ready() -> bool:
            try:
                return carbon.points("nothing") == {} and all(map(listens, carbon.ports.values()))
            except OSError:
                return False

        with child(["env", f"GRAPHITE_ROOT={folder}", *argv], ready, folder):
            yield carbon


def listens(port: int) -> bool:
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=5)):
        return True


class Influx:
    """An InfluxDB of version 1."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, text: str, database: str = "") -> list[dict[str, Any]]:
        """Return the series of an answer."""
        body = urllib.parse.urlencode({"q": text, "db": database}).encode()
        answer = json.loads(ask(f"{self.url}/query", body))
        assert "error" not in answer["results"][0], answer
        found: list[dict[str, Any]] = answer["results"][0].get("series", [])
        return found


@contextlib.contextmanager
def influxdb() -> Iterator[Influx]:
    """Start InfluxDB."""
    command, port, internal = require("influxd"), free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        options = {
            "HOME": folder,
            "INFLUXDB_META_DIR": f"{folder}/meta",
            "INFLUXDB_DATA_DIR": f"{folder}/data",
            "INFLUXDB_DATA_WAL_DIR": f"{folder}/wal",
            "INFLUXDB_HTTP_BIND_ADDRESS": f"127.0.0.1:{port}",
            "INFLUXDB_BIND_ADDRESS": f"127.0.0.1:{internal}",
            "INFLUXDB_REPORTING_DISABLED": "true",
            "INFLUXDB_MONITOR_STORE_ENABLED": "false",
        }
        argv = ["env", *(f"{name}={value}" for name, value in options.items())]
        argv += [command, "run", "-config", "/dev/null"]
        question = b"GET /ping HTTP/1.0\r\n\r\n"
        with child(argv, answers(port, question, b" 204 "), Path(folder)):
            yield Influx(f"http://127.0.0.1:{port}")


class Pmcd:
    """A collector of Performance Co-Pilot that shows the files in ``folder``."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self._port = folder / "tmp" / "mmv", port
        told = {"TMP": folder / "tmp", "RUN": folder / "run", "LOG": folder / "log"}
        self.environment = {f"PCP_{each}_DIR": str(path) for each, path in told.items()}

    def read(self, name: str) -> dict[str, dict[str, float]]:
        """Return the values under ``mmv.name``: by metric, then by instance, ``""`` for none."""
        done = self.info("-f", f"mmv.{name}")
        found: dict[str, dict[str, float]] = {}
        metric = ""
        for line in done.stdout.splitlines():
            if line.startswith("mmv."):
                metric = line.removeprefix(f"mmv.{name}.")
            value = re.fullmatch(r' +(?:inst \[\d+ or "(.*)"\] )?value (\S+)', line)
            if value:
                found.setdefault(metric, {})[value[1] or ""] = float(value[2])
        return found

    def info(self, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [require("pminfo"), "-h", f"127.0.0.1:{self._port}", *options],
            env=os.environ | self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )


@contextlib.contextmanager
def pmcd() -> Iterator[Pmcd]:
    """Start Performance Co-Pilot's collector, with the agent that reads mapped files."""
    command, port = Path("/usr/lib/pcp/bin/pmcd"), free_port()
    if not command.exists():
        lacking("Performance Co-Pilot (pcp)")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = Pmcd(folder, port)
        for each in ("tmp/mmv", "run", "log"):
            (folder / each).mkdir(parents=True)
        (folder / "pmcd.conf").write_text(
            "mmv 70 dso mmv_init /usr/lib/pcp/pmdas/mmv/pmda_mmv.so\n"
            '[access]\nallow "local:*" : all;\nallow "127.0.0.1" : all;\n'
        )
        (folder / "names").write_text("root {\n mmv 70:*:*\n}\n")
        environment = [f"{variable}={value}" for variable, value in server.environment.items()]
        argv = ["env", "-C", name, *environment, str(command), "-f", "-A", "-U", "root"]
        argv += ["-n", f"{name}/names", "-c", f"{name}/pmcd.conf", "-i", "127.0.0.1"]
        argv += ["-p", str(port), "-s", f"{name}/run/pmcd.socket", "-l", f"{name}/log/pmcd.log"]
        argv += ["-x", f"{name}/log/fatal"]
        with child(argv, lambda: "value" in server.info("-f", "mmv.control.files").stdout, folder):
            yield server
