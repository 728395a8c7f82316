"""Requests a second, server and load generator on a core each: gunicorn, Granian, Go."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from dataclasses import dataclass, field

from benchmarks.measure import Spread, ratio
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
GOKIT = "Go-kit's full stack"
OURS = "falconkit's settings"


@dataclass
class Peer:
    """One row: how it is started, and whose ratio it is shown as."""

    name: str
    argv: list[str]
    beside: str
    log: str = "null"


def peers() -> list[Peer]:
    """Return what is measured, what is compared to what next to each other."""
    bare, full, msgspec = (f"benchmarks.apps:{name}" for name in ("bare", "full", "bare_msgspec"))
    python, c = PYTHON_PARSER, C_PARSER
    served = gunicorn(full, *python, ours=True)
    found = [
        Peer(BARE, gunicorn(bare, *python), BARE),
        Peer(FULL, served, BARE),
        Peer("the same libraries by hand", gunicorn("benchmarks.peers.naive:app", *python), BARE),
        Peer(
            "Flask with Flask-Limiter",
            gunicorn("benchmarks.peers.flask_counter:app", *python),
            BARE,
        ),
        *(
            Peer(f"full stack, log to a pipe that is {how}", served, BARE, how)
            for how in ("read", "unread")
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
        Peer("full stack under Granian", granian(full), GOKIT),
        Peer("bare Falcon under Granian", granian(bare), GOKIT),
        Peer(
            "an app that only answers, under Granian",
            granian("benchmarks.peers.nothing:app"),
            GOKIT,
        ),
    ]
    gokit = gokit_binary()
    if gokit is not None:
        served = ["-addr", "127.0.0.1:{port}", "-serve"]
        found += [
            Peer(GOKIT, [gokit, *served, "full"], GOKIT),
            Peer("Go's net/http alone", [gokit, *served, "bare"], GOKIT),
        ]
    return found


def settings() -> list[Peer]:
    """Return the full stack with one setting of gunicorn's changed in each."""
    full = "benchmarks.apps:full"
    changes = {
        OURS: (),
        "gunicorn's own gthread worker": ("--worker-class", "gthread"),
        "sync worker": ("--worker-class", "sync"),
        "1 thread": ("--threads", "1"),
        "2 threads": ("--threads", "2"),
        "8 threads": ("--threads", "8"),
        "no kept connections": ("--keep-alive", "0"),
        "heartbeat file on the disk": ("--worker-tmp-dir", "/tmp"),
        "max_requests": ("--max-requests", "1000000000"),
        "reuse_port": ("--reuse-port",),
        "preload_app": ("--preload",),
        "100 connections at most": ("--worker-connections", "100"),
        "small limits of the head": ("--limit-request-fields", "20"),
    }
    found = [
        Peer(name, gunicorn(full, *PYTHON_PARSER, *args, ours=True), OURS)
        for name, args in changes.items()
    ]
    if importlib.util.find_spec("gunicorn_h1c") is not None:
        found.append(Peer("C parser", gunicorn(full, *C_PARSER, ours=True), OURS))
    return found


def main(quick: bool) -> Found:
    """Start all, and load one after the other, round after round."""
    found = Found()
    if shutil.which("wrk") is None or shutil.which("taskset") is None:
        why = "wrk or taskset is not on this machine"
        found.tables.append(Table("Requests a second, one core", ["not measured"], [[why]]))
        return found
    rounds, seconds = (2, 1) if quick else (7, 2)
    rates = _table(found, "Requests a second, one core", peers(), rounds, seconds)
    _facts(found, rates)
    _table(found, "What a setting of gunicorn's does", settings(), *((1, 1) if quick else (5, 1)))
    return found


@dataclass
class Seen:
    """What came of a peer: a figure a round, or why there is none."""

    rates: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    failed: str = ""


def _table(
    found: Found, title: str, wanted: list[Peer], rounds: int, seconds: int
) -> dict[str, list[float]]:
    server_core, load_core = cores()
    seen = {peer.name: Seen() for peer in wanted}
    with statsd_sink() as sink:
        _load(wanted, seen, server_core, load_core, sink, rounds, seconds)
    rates = {name: each.rates for name, each in seen.items() if each.rates and not each.failed}
    table = Table(title, ["app", "requests a second", "CPU, µs a request", "ratio", "to"])
    for peer in wanted:
        if peer.name not in rates:
            table.rows.append([peer.name, f"not measured: {seen[peer.name].failed}", "", "", ""])
            continue
        beside = rates.get(peer.beside)
        shown = "" if beside is None else ratio(rates[peer.name], beside).text(2)
        cpu = Spread.of(seen[peer.name].cpu).text(0)
        table.rows.append([peer.name, Spread.of(rates[peer.name]).text(0), cpu, shown, peer.beside])
    table.notes.append(
        f"wrk with 8 kept connections on core {load_core}, the server on core {server_core}; "
        f"{rounds} rounds of {seconds} s, in turn. One worker; under gunicorn 4 threads. The "
        "processor's time is the server's own, the kernel's part of it included."
    )
    found.tables.append(table)
    return rates


def _load(
    wanted: list[Peer],
    seen: dict[str, Seen],
    server_core: str,
    load_core: str,
    sink: int,
    rounds: int,
    seconds: int,
) -> None:
    env = {"STATSD_HOST": "127.0.0.1", "STATSD_PORT": str(sink), "WEB_CONCURRENCY": "1"}
    servers: dict[str, Server] = {}
    try:
        for peer in wanted:
            try:
                servers[peer.name] = Server(peer.argv, core=server_core, log=peer.log, env=env)
            except NotStarted as ex:
                seen[peer.name].failed = str(ex)
        for number in range(rounds + 1):
            for name, server in servers.items():
                if seen[name].failed:
                    continue
                before = server.cpu()
                try:
                    rate = wrk(server.port, load_core, seconds if number else 1)
                except (RuntimeError, subprocess.SubprocessError) as ex:
                    seen[name].failed = str(ex)
                    continue
                if number:  # the first round warms up
                    seen[name].rates.append(rate)
                    seen[name].cpu.append((server.cpu() - before) / (rate * seconds) * 1e6)
    finally:
        for server in servers.values():
            server.close()


def _facts(found: Found, rates: dict[str, list[float]]) -> None:
    for name, values in rates.items():
        found.facts[f"rate of {name}"] = Spread.of(values).median
        for other in (BARE, GOKIT):
            if other in rates:
                each = ratio(values, rates[other])
                found.facts[f"{name} / {other}"] = each.median
                found.facts[f"{name} / {other}, low"] = each.low
                found.facts[f"{name} / {other}, high"] = each.high
