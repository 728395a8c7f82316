"""Requests a second, server and load generator on a core each: gunicorn, Granian, Go."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.measure import Spread, in_turn, ratio
from benchmarks.section import Found, Table
from benchmarks.serving import (
    NotStarted,
    Server,
    cores,
    gokit_binary,
    granian,
    gunicorn,
    statsd_sink,
    wrk,
)

PYTHON_PARSER = ("--http-parser", "python")
C_PARSER = ("--http-parser", "fast")
BARE = "bare Falcon"
FULL = "full stack"


@dataclass
class Peer:
    """One row: how it is started, and whose ratio it is shown as."""

    name: str
    argv: list[str]
    beside: str
    reads_log: bool = False
    env: dict[str, str] = field(default_factory=dict)


def peers() -> list[Peer]:
    """Return what is measured, what is compared to what next to each other."""
    bare, full, msgspec = (f"benchmarks.apps:{name}" for name in ("bare", "full", "bare_msgspec"))
    python, c = PYTHON_PARSER, C_PARSER
    found = [
        Peer(BARE, gunicorn(bare, *python), BARE),
        Peer(FULL, gunicorn(full, *python, ours=True), BARE),
        Peer("the same libraries by hand", gunicorn("benchmarks.peers.naive:app", *python), BARE),
        Peer(
            "Flask with Flask-Limiter",
            gunicorn("benchmarks.peers.flask_counter:app", *python),
            BARE,
        ),
        Peer(
            "full stack, log to a pipe that is read", gunicorn(full, *python, ours=True), BARE, True
        ),
        Peer("bare Falcon, falconkit's settings", gunicorn(bare, *python, ours=True), BARE),
        Peer("full stack, gunicorn's defaults", gunicorn(full, *python), BARE),
        Peer("bare Falcon with msgspec", gunicorn(msgspec, *python), BARE),
    ]
    if importlib.util.find_spec("falconkit.tracing") is not None:
        traced = gunicorn("benchmarks.peers.traced:app", *python, ours=True)
        found.append(Peer("full stack, every call traced", traced, BARE))
    if importlib.util.find_spec("gunicorn_h1c") is not None:
        found += [
            Peer("bare Falcon, C parser", gunicorn(bare, *c), BARE),
            Peer("full stack, C parser", gunicorn(full, *c, ours=True), BARE),
        ]
    found += [
        Peer("full stack under Granian", granian(full), "Go-kit's full stack"),
        Peer("bare Falcon under Granian", granian(bare), "Go-kit's full stack"),
    ]
    gokit = gokit_binary()
    if gokit is not None:
        served = ["-addr", "127.0.0.1:{port}", "-serve"]
        found += [
            Peer("Go-kit's full stack", [gokit, *served, "full"], "Go-kit's full stack"),
            Peer("Go's net/http alone", [gokit, *served, "bare"], "Go-kit's full stack"),
        ]
    return found


def main(quick: bool) -> Found:
    """Start all, and load one after the other, round after round."""
    rounds, seconds = (2, 1.0) if quick else (7, 2.0)
    table = Table("Requests a second, one core", ["app", "requests a second", "beside", "ratio"])
    found = Found([table])
    if shutil.which("wrk") is None or shutil.which("taskset") is None:
        table.notes.append("wrk or taskset is not on this machine: nothing was measured.")
        return found
    server_core, load_core = cores()
    with statsd_sink() as sink:
        rates, failed = _loaded(peers(), server_core, load_core, sink, rounds, seconds)
    for peer in peers():
        if peer.name in failed:
            table.rows.append([peer.name, f"not measured: {failed[peer.name]}", "", ""])
            continue
        beside = rates.get(peer.beside)
        shown = "" if beside is None else ratio(rates[peer.name], beside).text(2)
        table.rows.append([peer.name, Spread.of(rates[peer.name]).text(0), peer.beside, shown])
    _facts(found, rates)
    table.notes.append(
        f"wrk with 8 kept connections on core {load_core}, the server on core {server_core}; "
        f"{rounds} rounds of {seconds:g} s each, in turn. One worker; under gunicorn 4 threads."
    )
    return found


def _loaded(
    wanted: list[Peer], server_core: str, load_core: str, sink: int, rounds: int, seconds: float
) -> tuple[dict[str, list[float]], dict[str, str]]:
    failed: dict[str, str] = {}
    servers: dict[str, Server] = {}
    common = {"STATSD_HOST": "127.0.0.1", "STATSD_PORT": str(sink), "WEB_CONCURRENCY": "1"}
    try:
        for peer in wanted:
            try:
                servers[peer.name] = Server(
                    peer.argv, core=server_core, reads_log=peer.reads_log, **common, **peer.env
                )
            except NotStarted as ex:
                failed[peer.name] = str(ex)

        def loading(name: str) -> Callable[[], float]:
            return lambda: wrk(servers[name].port, load_core, seconds)

        for name in [*servers]:
            try:
                wrk(servers[name].port, load_core, 0.5)
            except Exception as ex:
                failed[name] = str(ex)
        return in_turn(
            {name: loading(name) for name in servers if name not in failed}, rounds
        ), failed
    finally:
        for server in servers.values():
            server.close()


def _facts(found: Found, rates: dict[str, list[float]]) -> None:
    for name, values in rates.items():
        found.facts[f"rate of {name}"] = Spread.of(values).median
        for other in (BARE, "Go-kit's full stack", "bare Falcon, C parser"):
            if other in rates:
                each = ratio(values, rates[other])
                found.facts[f"{name} / {other}"] = each.median
                found.facts[f"{name} / {other}, low"] = each.low
                found.facts[f"{name} / {other}, high"] = each.high
