"""Real registries for tests, each started on loopback by whoever asks for it."""

from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

from falconkit.testing.conform_instancer import BENCH_THREAD
from tests.services import free_port, lacking


def command(*names: str) -> str:
    """Return the path of the first command there is, also one in a system folder, or skip."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    for name in names:
        found = shutil.which(name, path=path)
        if found:
            return found
    return lacking(" or ".join(names))


class Server:
    """A process that can be stopped, killed and started again at the same port, with its data."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.port = free_port()
        self.child: subprocess.Popen | None = None

    def argv(self) -> list[str]:
        raise NotImplementedError

    def ready(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        # Its ports were free a moment ago; another process may have taken one since.
        for attempt in range(5):
            with (self.folder / "server.log").open("ab") as log:
                self.child = subprocess.Popen(
                    self.argv(), stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=self.folder
                )
            deadline = time.monotonic() + 60
            while self.child.poll() is None and time.monotonic() < deadline:
                if _true(self.ready):
                    return
                time.sleep(0.02)
            self.stop()
            time.sleep(0.1 * attempt)
        raise RuntimeError(f"it did not start: {(self.folder / 'server.log').read_text()[-3000:]}")

    def stop(self, how: signal.Signals = signal.SIGKILL) -> None:
        child, self.child = self.child, None
        if child is not None:
            child.send_signal(how)
            child.wait(60)

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def _true(ready: Callable[[], bool]) -> bool:
    try:
        return ready()
    except OSError:
        return False


class Silent:
    """Takes connections and datagrams at a port, and says nothing.

    Attributes:
        came: Set once something has come: a connection's first bytes, or a datagram.
    """

    def __init__(self, port: int) -> None:
        self.came = threading.Event()
        self._stream = socket.create_server(("127.0.0.1", port))
        self._datagrams = socket.socket(type=socket.SOCK_DGRAM)
        self._datagrams.bind(("127.0.0.1", port))
        self._taken: list[socket.socket] = []
        self._running = True
        self._thread = threading.Thread(target=self._take, name=f"{BENCH_THREAD}silent")
        self._thread.start()

    def close(self) -> None:
        self._running = False
        self._thread.join()
        for each in (self._stream, self._datagrams, *self._taken):
            each.close()

    def _take(self) -> None:
        while self._running:
            open_ = [self._stream, self._datagrams, *self._taken]
            for each in select.select(open_, [], [], 0.05)[0]:
                if each is self._stream:
                    self._taken.append(each.accept()[0])
                    continue
                if not each.recv(65536):
                    self._taken.remove(each)
                    each.close()
                    continue
                self.came.set()


class Dnsmasq(Server):
    """A DNS server for the names under ``test``; its records are its arguments.

    Attributes:
        records: The arguments.
        ttl: Seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.records: list[str] = []
        self.ttl = 0
        self._seen = 0

    def argv(self) -> list[str]:
        return [
            command("dnsmasq"),
            "--keep-in-foreground",
            "--conf-file=/dev/null",
            "--no-resolv",
            "--no-hosts",
            f"--port={self.port}",
            "--listen-address=127.0.0.1",
            "--bind-interfaces",
            "--user=root",
            f"--pid-file={self.folder}/pid",
            "--log-facility=-",
            "--log-queries",
            "--cache-size=0",
            "--local=/test/",
            f"--local-ttl={self.ttl}",
            *self.records,
        ]

    def start(self) -> None:
        log = self.folder / "server.log"
        self._seen = log.stat().st_size if log.exists() else 0
        super().start()

    def ready(self) -> bool:
        # Not by a connection, for which dnsmasq forks: that child may hold the port when its
        # parent is killed, and answer in the place of one that cannot have it.
        return b"started" in (self.folder / "server.log").read_bytes()[self._seen :]

    def put(self, *records: str) -> None:
        """Answer with these records from now on."""
        self.records = list(records)
        if self.child is not None:
            self.stop()
            self.start()

    def queries(self) -> list[str]:
        """Return the lines of its log that tell of a question."""
        lines = (self.folder / "server.log").read_text().splitlines()
        return [line for line in lines if "query[" in line]


class Etcd(Server):
    """An etcd of one node."""

    def __init__(self) -> None:
        super().__init__()
        self.peer = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def argv(self) -> list[str]:
        peers = f"http://127.0.0.1:{self.peer}"
        return [
            command("etcd"),
            "--name=t",
            f"--data-dir={self.folder}/data",
            f"--listen-client-urls={self.url}",
            f"--advertise-client-urls={self.url}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=t={peers}",
            "--logger=zap",
            "--log-level=warn",
            "--unsafe-no-fsync",
        ]

    def ready(self) -> bool:
        with urllib.request.urlopen(f"{self.url}/health", timeout=2) as answer:
            return b'"health":"true"' in answer.read()


class ZooKeeper(Server):
    """A ZooKeeper of one node, of Debian's package ``zookeeper``."""

    JARS = "/usr/share/java/zookeeper.jar"

    def argv(self) -> list[str]:
        if not Path(self.JARS).exists():
            lacking("zookeeper")
        (self.folder / "zoo.cfg").write_text(
            f"tickTime=500\ninitLimit=10\nsyncLimit=5\ndataDir={self.folder}/data\n"
            f"clientPort={self.port}\nclientPortAddress=127.0.0.1\nadmin.enableServer=false\n"
            "4lw.commands.whitelist=*\nmaxClientCnxns=0\n"
        )
        return [
            command("java"),
            "-Xmx128m",
            "-cp",
            f"{self.folder}:{self.JARS}:/usr/share/java/slf4j-simple.jar",
            "org.apache.zookeeper.server.ZooKeeperServerMain",
            str(self.folder / "zoo.cfg"),
        ]

    def ready(self) -> bool:
        with socket.create_connection(("127.0.0.1", self.port), timeout=0.3) as sock:
            sock.sendall(b"srvr")
            return b"Mode: standalone" in sock.recv(4096)


class ConsulAgent(Server):
    """A Consul server of one node: the binary that CONSUL names, built from its Go module."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = [free_port(), free_port()]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def argv(self) -> list[str]:
        (self.folder / "quick.json").write_text(
            '{"performance": {"raft_multiplier": 1}, "leave_on_terminate": false,'
            ' "check_update_interval": "0s", "disable_update_check": true}'
        )
        gossip, rpc = self.inner
        return [
            os.environ["CONSUL"],
            "agent",
            "-server",
            "-bootstrap",
            "-node=n",
            "-bind=127.0.0.1",
            "-client=127.0.0.1",
            f"-data-dir={self.folder}/data",
            f"-config-file={self.folder}/quick.json",
            f"-http-port={self.port}",
            f"-serf-lan-port={gossip}",
            f"-server-port={rpc}",
            "-serf-wan-port=-1",
            "-dns-port=-1",
            "-grpc-port=-1",
            "-grpc-tls-port=-1",
            "-log-level=warn",
        ]

    def ready(self) -> bool:
        # A leader and its own node, which a service's health is told with.
        with urllib.request.urlopen(f"{self.url}/v1/health/node/n", timeout=5) as answer:
            return b"serfHealth" in answer.read()


class SpringEureka(Server):
    """Spring Cloud's Eureka server: the jar that EUREKA_JAR names, built from ``eureka/``."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/eureka"

    def argv(self) -> list[str]:
        return [
            command("java"),
            "-Xmx256m",
            "-XX:TieredStopAtLevel=1",
            "-jar",
            os.environ["EUREKA_JAR"],
            f"--server.port={self.port}",
            "--server.address=127.0.0.1",
            "--eureka.client.register-with-eureka=false",
            "--eureka.client.fetch-registry=false",
            "--eureka.server.enable-self-preservation=false",
            "--eureka.server.use-read-only-response-cache=false",
        ]

    def ready(self) -> bool:
        with urllib.request.urlopen(f"{self.url}/apps", timeout=5) as answer:
            return answer.status == 200
