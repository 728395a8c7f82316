"""Stand-ins for registries whose servers cannot be had here, after their documented HTTP APIs."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from falconkit.testing.conform_instancer import BENCH_THREAD
from tests.services import free_port


class StandIn:
    """A server in a thread, which can be stopped and started again with its data."""

    def __init__(self) -> None:
        self.port = free_port()
        self.changed = threading.Condition()
        self.child: ThreadingHTTPServer | None = None
        self.asked: list[str] = []

    def start(self) -> None:
        standin = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                length = int(self.headers.get("Content-Length", 0))
                body = json.loads(self.rfile.read(length)) if length else None
                standin.asked.append(f"{self.command} {self.path}")
                parts = urlsplit(self.path)
                path = [unquote(each) for each in parts.path.strip("/").split("/")]
                status, headers, answer = standin.answer(
                    self.command, path, parse_qs(parts.query), body
                )
                raw = b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(raw))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(raw)

            do_PUT = do_POST = do_DELETE = do_GET

            def log_message(self, *_: object) -> None:
                pass

            def handle(self) -> None:
                standin.open.add(self.connection)
                with contextlib.suppress(OSError):  # the client may have gone
                    super().handle()
                standin.open.discard(self.connection)

        self.open: set[Any] = set()
        self.stopping = False
        self.child = _Server(("127.0.0.1", self.port), Handler)
        self.thread = threading.Thread(target=self.child.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self) -> None:
        child, self.child = self.child, None
        if child is None:
            return
        child.shutdown()
        self.thread.join()
        with self.changed:
            self.stopping = True
            self.changed.notify_all()
        for connection in list(self.open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        child.server_close()

    def close(self) -> None:
        self.stop()

    def answer(
        self, method: str, path: list[str], query: dict[str, list[str]], body: Any
    ) -> tuple[int, dict[str, str], Any]:
        raise NotImplementedError


class _Server(ThreadingHTTPServer):
    def process_request(self, request, client_address):
        threading.Thread(
            target=self.process_request_thread,
            args=(request, client_address),
            name=f"{BENCH_THREAD}standin",
            daemon=True,
        ).start()


class Consul(StandIn):
    """The agent's health, service and check endpoints, with blocking queries.

    Attributes:
        index: The catalogue's index; a test may set it back.
    """

    def __init__(self) -> None:
        super().__init__()
        self.index = 1
        self.services: dict[str, dict[str, Any]] = {}
        self.critical: set[str] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, method, path, query, body):
        match method, path:
            case "GET", ["v1", "health", "service", name]:
                return self.health(name, query)
            case "PUT", ["v1", "agent", "service", "register"]:
                with self.changed:
                    self.services[body["ID"]] = body
                    self.critical.discard(body["ID"])
                    self.bump()
                return 200, {}, None
            case "PUT", ["v1", "agent", "service", "deregister", id]:
                with self.changed:
                    if self.services.pop(id, None) is None:
                        return 404, {}, None
                    self.bump()
                return 200, {}, None
            case "PUT", ["v1", "agent", "check", "pass", check]:
                known = check.removeprefix("service:") in self.services
                return (200 if known else 404), {}, None
        return 400, {}, None

    def health(self, name, query):
        index = int(query.get("index", ["0"])[0])
        with self.changed:
            if index:
                self.changed.wait_for(
                    lambda: self.index != index or self.stopping,
                    float(query["wait"][0].removesuffix("s")),
                )
            rows = [
                {
                    "Node": {"Node": "n", "Address": "10.9.9.9", "Datacenter": "dc1"},
                    "Service": {
                        "ID": each["ID"],
                        "Service": each["Name"],
                        "Tags": each["Tags"],
                        "Meta": each["Meta"],
                        "Address": each["Address"],
                        "Port": each["Port"],
                        "Weights": each["Weights"],
                    },
                    "Checks": [
                        {"CheckID": "serfHealth", "Status": "passing"},
                        {
                            "CheckID": f"service:{each['ID']}",
                            "Status": "critical" if each["ID"] in self.critical else "passing",
                        },
                    ],
                }
                for each in self.services.values()
                if each["Name"] == name
                and set(query.get("tag", [])) <= set(each["Tags"])
                and not ("passing" in query and each["ID"] in self.critical)
            ]
            return 200, {"X-Consul-Index": str(self.index)}, rows

    def bump(self) -> None:
        self.index += 1
        self.changed.notify_all()


class Eureka(StandIn):
    """The application endpoints of a Eureka server, and its deltas.

    Attributes:
        apps: What is registered: application, id, instance.
        recent: What changed lately; a test may lose some of it.
        deltas: Whether it tells of changes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.apps: dict[str, dict[str, Any]] = {}
        self.recent: list[dict[str, Any]] = []
        self.deltas = True

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/eureka"

    def answer(self, method, path, query, body):
        match method, path:
            case "GET", ["eureka", "apps"]:
                return (
                    200,
                    {},
                    self.told([each for app in self.apps.values() for each in [*app.values()]]),
                )
            case "GET", ["eureka", "apps", "delta"]:
                return (200, {}, self.told(self.recent)) if self.deltas else (403, {}, None)
            case "GET", ["eureka", "apps", app]:
                found = list(self.apps.get(app, {}).values())
                if not found:
                    return 404, {}, None
                return 200, {}, {"application": {"name": app, "instance": found}}
            case "POST", ["eureka", "apps", app]:
                instance = body["instance"]
                self.apps.setdefault(app, {})[instance["instanceId"]] = instance
                self.note(instance, "ADDED")
                return 204, {}, None
            case "PUT", ["eureka", "apps", app, id]:
                return (200 if id in self.apps.get(app, {}) else 404), {}, None
            case "PUT", ["eureka", "apps", app, id, "status"]:
                instance = self.apps[app][id]
                instance["status"] = query["value"][0]
                self.note(instance, "MODIFIED")
                return 200, {}, None
            case "DELETE", ["eureka", "apps", app, id]:
                gone = self.apps.get(app, {}).pop(id, None)
                if gone is not None:
                    self.note(gone, "DELETED")
                return (404 if gone is None else 200), {}, None
        return 400, {}, None

    def note(self, instance, action):
        self.recent = [each for each in self.recent if each["instanceId"] != instance["instanceId"]]
        self.recent.append({**instance, "actionType": action})

    def told(self, instances):
        apps: dict[str, list[Any]] = {}
        for each in instances:
            apps.setdefault(each["app"], []).append(each)
        counts = Counter(each["status"] for app in self.apps.values() for each in [*app.values()])
        return {
            "applications": {
                "versions__delta": "1",
                "apps__hashcode": "".join(f"{s}_{n}_" for s, n in sorted(counts.items())),
                "application": [{"name": n, "instance": rows} for n, rows in apps.items()],
            }
        }
