"""What a call of a service costs beside one of a bare urllib3 pool; Markdown on stdout.

    python -m benchmarks.client [--rounds 3000]

Every line is called in turn, once a round, over connections kept alive, against one peer on
loopback in a process of its own, which answers at once. So all see the same machine, and what
is compared is the difference within a round: its median over all rounds. The bare call
encodes and decodes the same JSON, and sets the same timeout.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import os
import platform
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import msgspec
import urllib3

from falconkit import Context, Middleware, chain
from falconkit.arena import Arena
from falconkit.circuitbreaker import CircuitBreaker, guard
from falconkit.deadline import timeout
from falconkit.log import log
from falconkit.log.handler import Handler
from falconkit.metrics import Metrics, measure
from falconkit.presets import call_stack, try_stack
from falconkit.retry import retry
from falconkit.tracing import LeanTracer, TraceRing, trace
from falconkit.transport import http

ANSWER = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 7\r\n\r\n{"v":3}'
Call = Callable[[], object]


class Amount(msgspec.Struct):
    """What is asked, and answered."""

    v: int


def peer() -> int:
    """Fork a server that answers each request at once; returns its port."""
    listener = socket.create_server(("127.0.0.1", 0))
    if os.fork():
        port: int = listener.getsockname()[1]
        return port
    parent = os.getppid()

    def serve(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            while connection.recv(65536):
                connection.sendall(ANSWER)

    listener.settimeout(1.0)
    while os.getppid() == parent:
        try:
            connection, _ = listener.accept()
        except TimeoutError:
            continue
        connection.settimeout(None)
        threading.Thread(target=serve, args=(connection,), daemon=True).start()
    os._exit(0)


def bare(port: int) -> Call:
    """Return a call by a urllib3 pool, as one would write it without us."""
    pool = urllib3.HTTPConnectionPool("127.0.0.1", port, maxsize=4)
    encode, decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(Amount).decode
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    limit = urllib3.Timeout(total=10.0)

    def call() -> Amount:
        answer = pool.urlopen(
            "POST", "/add", body=encode(Amount(3)), headers=headers, retries=False, timeout=limit
        )
        return decode(answer.data)

    return call


def lines(port: int, folder: Path) -> dict[str, Call]:
    """Return what is measured, each line with one layer more than the one before."""
    arena = Arena(folder)
    metrics = Metrics(arena=arena)
    tracer = LeanTracer("benchmark", reporter=TraceRing())
    span = tracer.join({})
    url = f"static://127.0.0.1:{port}"

    def breaker(name: str) -> CircuitBreaker:
        return CircuitBreaker(name, arena=arena)

    def asked(endpoint: Callable[[Context, Amount], object]) -> Call:
        def call() -> object:
            return endpoint(Context("POST", "/in", "r-1", span=span), Amount(3))

        return call

    def service(around: Middleware | None = None, each: Middleware | None = None) -> Call:
        made = http.service("counter", sd=url, around=around, each=each)
        return asked(made.post("/add", returns=Amount))

    client = http.Client("POST", f"http://127.0.0.1:{port}/add", returns=Amount)
    tries = chain(guard(breaker), timeout(3.0))
    around = chain(timeout(10.0), retry())
    return {
        "a bare urllib3 pool": bare(port),
        "http.Client": asked(client),
        "http.service: discovery and balancing": service(),
        "+ breaker and time of each try": service(each=tries),
        "+ retry and time of the call": service(around, tries),
        "+ measure": service(chain(measure(metrics), around), tries),
        "+ log": service(chain(log(), measure(metrics), around), tries),
        "+ trace, of the call and of each try": service(
            chain(log(), trace(tracer, kind="local"), measure(metrics), around),
            chain(guard(breaker), trace(tracer), timeout(3.0)),
        ),
        "presets: call_stack, try_stack": service(
            call_stack(metrics, tracer=tracer), try_stack(tracer=tracer, breaker=breaker)
        ),
    }


def measured(calls: list[Call], rounds: int) -> list[list[int]]:
    """Return the nanoseconds of each call, one list a line."""
    spent: list[list[int]] = [[] for _ in calls]
    now = time.perf_counter_ns
    order = list(zip(calls, spent, strict=True))
    for each in calls:
        for _ in range(200):
            each()
    for round_ in range(rounds):
        # Turned, so that none is always the one after another.
        at = round_ % len(order)
        for call, times in order[at:] + order[:at]:
            started = now()
            call()
            times.append(now() - started)
    return spent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3000)
    rounds = parser.parse_args().rounds
    port = peer()
    logging.getLogger().addHandler(Handler(open(os.devnull, "w")))  # noqa: SIM115
    logging.getLogger().setLevel(logging.INFO)
    with tempfile.TemporaryDirectory() as folder:
        named = lines(port, Path(folder) / "run")
        gc.freeze()
        spent = measured(list(named.values()), rounds)
    base = spent[0]
    print(f"CPython {platform.python_version()}, urllib3 {version('urllib3')}, {rounds} rounds\n")
    print("| call | median, us | over the bare pool, us |\n|---|---|---|")
    for name, times in zip(named, spent, strict=True):
        over = statistics.median(a - b for a, b in zip(times, base, strict=True)) / 1000
        print(f"| {name} | {statistics.median(times) / 1000:.1f} | {over:+.1f} |")
    sys.stdout.flush()
    os._exit(0)  # the peer ends when it has no parent any more


if __name__ == "__main__":
    main()
