"""Microseconds a request through the WSGI callable, and of each layer by itself."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

from benchmarks.measure import Spread, in_turn, micros, ratio
from benchmarks.section import Found, Table
from benchmarks.serving import gokit_binary

ID = "9c248150-03ac-4b24-b5a7-f7c1f0fb05ed"
ENVIRON: dict[str, Any] = {
    "REQUEST_METHOD": "POST",
    "SCRIPT_NAME": "",
    "PATH_INFO": "/add",
    "QUERY_STRING": "",
    "RAW_URI": "/add",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "SERVER_NAME": "127.0.0.1",
    "SERVER_PORT": "8000",
    "REMOTE_ADDR": "127.0.0.1",
    "REMOTE_PORT": "47111",
    "CONTENT_TYPE": "application/json",
    "CONTENT_LENGTH": "7",
    "HTTP_HOST": "127.0.0.1:8000",
    "HTTP_X_REQUEST_ID": ID,
    "wsgi.version": (1, 0),
    "wsgi.url_scheme": "http",
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": False,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
}
Wsgi = Callable[..., Iterable[bytes]]


def calling(app: Wsgi, **environ: Any) -> Callable[[], None]:
    """Return a function that makes the article's call of an app.

    Raises:
        AssertionError: At once, when the app does not answer it with 200 and the total.
    """
    base = ENVIRON | environ
    statuses: list[str] = []

    def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> None:
        pass

    def call() -> None:
        env = base.copy()
        env["wsgi.input"] = io.BytesIO(b'{"v":1}')
        for _ in app(env, start):
            pass

    env = base | {"wsgi.input": io.BytesIO(b'{"v":1}')}
    body = b"".join(app(env, lambda status, headers, exc_info=None: statuses.append(status)))
    if statuses != ["200 OK"] or b'"v"' not in body:
        raise AssertionError(f"{app!r} answered {statuses} {body!r}")
    return call


def main(quick: bool) -> Found:
    """Measure requests, then layers."""
    rounds, calls = (7, 300) if quick else (41, 1000)
    found = Found()
    # One core, as under load; Go's is not pinned, and may collect its garbage on another.
    have = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(have)})
    _requests(found, rounds, calls)
    _layers(found, rounds, calls)
    os.sched_setaffinity(0, have)
    _beside_gokit(found, rounds, calls)
    return found


def _requests(found: Found, rounds: int, calls: int) -> None:
    from benchmarks import apps
    from benchmarks.peers import naive, traced

    here, there = socket.socketpair()
    peers = {
        "bare Falcon, `req.media` and `resp.media`": calling(apps.bare),
        "bare Falcon with msgspec": calling(apps.bare_msgspec),
        "full stack": calling(apps.full),
        "full stack, and gunicorn's socket to watch": calling(
            apps.full, **{"gunicorn.socket": here}
        ),
        "the same libraries by hand": calling(naive.app),
    }
    figures = {name: micros(call, calls) for name, call in peers.items()}
    in_turn(figures, 2)
    seen = in_turn(figures, rounds)
    here.close()
    there.close()
    bare, _, full, watched, by_hand = seen.values()
    table = Table("A request, in process", ["app", "µs a request", "× bare"])
    for name, values in seen.items():
        table.rows.append([name, Spread.of(values).text(1), ratio(values, bare).text(2)])
    # When the others are done: its thread reports spans while others are measured.
    _traced(table, calling(apps.bare), calling(traced.app), rounds, calls)
    traced.app.close()
    table.notes.append("The environ's copy and the body's stream, 0.2-0.3 µs, are in every row.")
    found.tables.append(table)
    found.facts |= {
        "in process": ratio(full, bare).median,
        "in process, watched": ratio(watched, bare).median,
        "in process by hand": ratio(by_hand, bare).median,
    }


def _traced(
    table: Table, bare: Callable[[], None], traced: Callable[[], None], rounds: int, calls: int
) -> None:
    figures = {"bare": micros(bare, calls), "traced": micros(traced, calls)}
    in_turn(figures, 2)
    seen = in_turn(figures, rounds)
    of_bare = ratio(seen["traced"], seen["bare"])
    name = "full stack, every call traced"
    table.rows.append([name, Spread.of(seen["traced"]).text(1), of_bare.text(2)])


def _layers(found: Found, rounds: int, calls: int) -> None:
    from falconkit import Context, Endpoint, Middleware, chain, layer
    from falconkit.events import Events
    from falconkit.log import log
    from falconkit.metrics import Metrics, measure
    from falconkit.ratelimit import TokenBucket, limit
    from falconkit.tracing import FileReporter, LeanTracer, trace

    @layer("pass")
    def through(next: Endpoint[Any, Any], /) -> Endpoint[Any, Any]:
        return lambda ctx, request: next(ctx, request)

    def add(ctx: Context, v: int) -> int:
        return v

    metrics, bucket = Metrics(), TokenBucket("1000000/second")
    layers: dict[str, Middleware] = {
        "a layer that passes on": through,
        "log": log(),
        "measure": measure(metrics),
        "limit": limit(bucket),
    }
    every = "log, measure and limit together"
    layers[every] = chain(layers["log"], layers["measure"], layers["limit"])
    events = Events()

    def asking(endpoint: Endpoint[int, int]) -> Callable[[], object]:
        return lambda: endpoint(
            Context("POST", "/add", ID, None, None, "127.0.0.1", None, events), 1
        )

    def adding(layers: dict[str, Middleware]) -> dict[str, Spread]:
        none = "none"
        figures = {none: micros(asking(add), calls)}
        figures |= {name: micros(asking(each(add)), calls) for name, each in layers.items()}
        in_turn(figures, 2)
        seen = in_turn(figures, rounds)
        return {
            name: Spread.of([a - b for a, b in zip(values, seen[none], strict=True)])
            for name, values in seen.items()
            if name != none
        }

    table = Table("What a layer adds to a call", ["layer", "µs added"])
    added = adding(layers)
    # By itself, when the others are done: its thread reports spans while others are measured.
    tracer = LeanTracer("counter", reporter=FileReporter("/dev/null"))
    added |= adding({"trace, every call kept": trace(tracer)})
    tracer.close()
    table.rows = [[name, each.text(2)] for name, each in added.items()]
    found.facts["added"] = added[every].median
    found.tables.append(table)


def _beside_gokit(found: Found, rounds: int, calls: int) -> None:
    table = found.tables[-1]
    gokit = gokit_binary()
    if gokit is not None:
        runs = [_gokit_adds(gokit, calls * rounds) for _ in range(3)]
        table.rows.append(
            ["Go-kit's log, metrics and limiter together, in Go", Spread.of(runs).text(2)]
        )
        found.facts["gokit added"] = Spread.of(runs).median
    else:
        table.notes.append("Go is not on this machine: Go-kit's row is left out.")


def _gokit_adds(binary: str, calls: int) -> float:
    done = subprocess.run(
        [binary, "-time", str(calls * 4)], capture_output=True, text=True, timeout=60, check=True
    )
    return float(done.stdout) / 1000
