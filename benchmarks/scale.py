"""What more costs: workers on one key, keys, storages, labelled series."""

from __future__ import annotations

import gc
import io
import itertools
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import falcon

from benchmarks.in_process import ENVIRON, calling
from benchmarks.measure import Spread, in_turn, micros, ratio
from benchmarks.section import Found, Table
from benchmarks.serving import Server, cores, gunicorn, redis_server, statsd_sink, wrk
from falconkit.arena import Arena
from falconkit.debug import Door, Vars
from falconkit.metrics import Metrics, expvar
from falconkit.metrics.statsd import StatsD
from falconkit.ratelimit import TokenBucket

_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
_context = multiprocessing.get_context("spawn")


def main(quick: bool) -> Found:
    """Measure each in turn."""
    found = Found()
    _workers(found, quick)
    _keys(found, quick)
    _storages(found, quick)
    _series(found, quick)
    return found


# Two workers on one key.


def _workers(found: Found, quick: bool) -> None:
    rounds, seconds = (1, 0.5) if quick else (5, 1.0)
    have = len(os.sched_getaffinity(0))
    table = Table(
        "Two workers beside one, in process",
        ["work", "one worker, a second", "two on one key / one", "two on a key each / one"],
    )
    found.tables.append(table)
    kinds = {"a whole request": _requests, "a decision and nothing else": _decisions}
    for what, work in kinds.items():
        rates = in_turn(
            {
                "one": partial(_rate, work, 1, True, seconds),
                "shared": partial(_rate, work, 2, True, seconds),
                "apart": partial(_rate, work, 2, False, seconds),
            },
            rounds,
        )
        one, shared, apart = rates["one"], rates["shared"], rates["apart"]
        table.rows.append(
            [what, Spread.of(one).text(0), ratio(shared, one).text(2), ratio(apart, one).text(2)]
        )
        found.facts[f"share {what}"] = ratio(shared, apart).median
    table.notes.append(
        "The third column against the fourth is the limiter's own share: what two workers lose "
        "to each other's locks, counters and cache lines, with what the machine takes left out."
    )
    if have < 3:
        table.notes.append(
            f"{have} cores: two workers and a load generator have no core each, so the ratio "
            "under gunicorn is not measured here."
        )
        return
    _under_gunicorn(found, rounds, 2)


def _under_gunicorn(found: Found, rounds: int, seconds: int) -> None:
    have = sorted(os.sched_getaffinity(0))
    core, load_core = f"{have[0]},{have[1]}", cores()[1]
    servers = {}
    with statsd_sink() as sink:
        env = {"STATSD_HOST": "127.0.0.1", "STATSD_PORT": str(sink)}
        try:
            for workers in (1, 2):
                argv = gunicorn("benchmarks.apps:full", ours=True, workers=workers)
                servers[workers] = Server(argv, core=core, env=env)
            rates = in_turn(
                {
                    str(workers): partial(wrk, server.port, load_core, seconds, 32)
                    for workers, server in servers.items()
                },
                rounds,
            )
        finally:
            for server in servers.values():
                server.close()
    both = ratio(rates["2"], rates["1"])
    found.facts["workers"] = both.median
    table = Table("Two workers beside one, under gunicorn", ["workers", "requests a second"])
    table.rows = [[workers, Spread.of(values).text(0)] for workers, values in rates.items()]
    table.rows.append(["2 / 1", both.text(2)])
    found.tables.append(table)


def _rate(work: Callable[..., None], workers: int, shared: bool, seconds: float) -> float:
    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder:
        counted = _context.Queue()
        ready = _context.Barrier(workers)
        children = [
            _context.Process(
                target=work,
                args=(f"{folder}/{'run' if shared else each}", each, seconds, ready, counted),
                daemon=True,
            )
            for each in range(workers)
        ]
        for child in children:
            child.start()
        try:
            return float(sum(counted.get(timeout=seconds + 30) for _ in children)) / seconds
        finally:
            for child in children:
                child.join(5)
                child.kill()


def _decisions(folder: str, number: int, seconds: float, ready: Any, counted: Any) -> None:
    bucket = TokenBucket("1000000/second", arena=Arena(folder))
    _count(lambda: bucket.take("add"), number, seconds, ready, counted)


def _requests(folder: str, number: int, seconds: float, ready: Any, counted: Any) -> None:
    os.environ["FALCONKIT_RUN"] = folder
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    from benchmarks.apps import full

    _count(calling(full), number, seconds, ready, counted)


def _count(
    call: Callable[[], object], number: int, seconds: float, ready: Any, counted: Any
) -> None:
    have = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {have[number % len(have)]})
    for _ in range(1000):
        call()
    ready.wait(30)
    calls, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        for _ in range(50):
            call()
        calls += 50
    counted.put(calls)


# A million keys.


class Filled(NamedTuple):
    """What came of filling an arena with keys once."""

    opened: float
    each: float
    longest: float
    longest_cpu: float
    used: int


def _keys(found: Found, quick: bool) -> None:
    keys = 50_000 if quick else 1_000_000
    fills = []
    # Thrice: a pause of ours is there each time, one of the machine's is not.
    for _ in range(3):
        with tempfile.TemporaryDirectory(dir=_MEMORY) as folder:
            bucket = TokenBucket("1/hour", burst=1000, arena=Arena(folder))
            fills.append(_fill(bucket, keys, Path(folder)))
            known, hot = _known(bucket, keys)
    opened, filled, longest, longest_cpu, used = (
        Spread.of(values) for values in zip(*fills, strict=True)
    )
    found.facts |= {
        "keys": float(keys),
        "bytes a key": used.median / keys,
        "longest pause": longest.median,
        "longest pause, cpu": longest_cpu.median,
    }
    table = Table(f"{keys:,} limiter keys in the arena", ["what", "figure"])
    table.rows = [
        ["a decision for a key that is met first, all the while, µs", filled.text(1)],
        ["a decision for any of them, when all are there, µs", known.text(1)],
        ["a decision for a key that is met often, µs", hot.text(2)],
        ["bytes a key, of the files", f"{used.median / keys:.1f}"],
        ["the first call of all, which opens the arena, ms", opened.text(1)],
        ["the longest pause of a call while they were added, ms", longest.text(1)],
        ["... of which it computed, in a call of over 1 ms", longest_cpu.text(1)],
    ]
    table.notes.append("The arena was filled three times, anew: medians and quartiles of these.")
    found.tables.append(table)


def _known(bucket: TokenBucket, keys: int) -> tuple[Spread, Spread]:
    names = itertools.cycle([f"caller-{number}" for number in range(0, keys, 7)])
    known = [micros(lambda: bucket.take(next(names)), keys // 20)() for _ in range(9)]
    hot = [micros(lambda: bucket.take("caller-1"), 20_000)() for _ in range(9)]
    return Spread.of(known), Spread.of(hot)


def _fill(bucket: TokenBucket, keys: int, folder: Path) -> Filled:
    clock, cpu, take = time.perf_counter, time.thread_time, bucket.take
    longest = longest_cpu = 0.0
    opening = clock()
    take("first")
    opened = clock() - opening
    gc.collect()
    gc.freeze()  # as the worker does once it has loaded the app
    began = clock()
    for number in range(keys):
        key = f"caller-{number}"
        before, cpu_before = clock(), cpu()
        take(key)
        wall = clock() - before
        if wall > longest:
            longest = wall
        if wall > 0.001:
            longest_cpu = max(longest_cpu, cpu() - cpu_before)
    each = (clock() - began) / keys * 1e6
    used = sum(file.stat().st_blocks * 512 for file in folder.rglob("*"))
    return Filled(opened * 1e3, each, longest * 1e3, longest_cpu * 1e3, used)


# Memory, arena, Redis.


def _storages(found: Found, quick: bool) -> None:
    rounds, calls = (3, 200) if quick else (15, 1000)
    with tempfile.TemporaryDirectory(dir=_MEMORY) as folder, redis_server() as url:
        rate = "1000000/second"
        buckets = {
            "`memory://`": TokenBucket(rate, storage="memory://"),
            "`arena://`": TokenBucket(rate, arena=Arena(folder)),
        }
        if url is not None:
            buckets["`redis://`, on loopback"] = TokenBucket(rate, storage=url)
        figures = {
            name: micros(partial(bucket.take, "add"), calls) for name, bucket in buckets.items()
        }
        in_turn(figures, 1)
        seen = in_turn(figures, rounds)
    arena = seen["`arena://`"]
    table = Table("A decision by storage", ["storage", "µs", "× the arena's"])
    for name, values in seen.items():
        table.rows.append([name, Spread.of(values).text(2), ratio(values, arena).text(1)])
        if "redis" in name:
            found.facts["redis / arena"] = ratio(values, arena).median
    if url is None:
        table.notes.append("Redis is not on this machine: its row is left out.")
    found.tables.append(table)


# Labelled series.


def _series(found: Found, quick: bool) -> None:
    table = Table(
        "Labelled series",
        [
            "series",
            "an increment by its labels, µs",
            "an increment of a series that is kept, µs",
            "a `/debug/vars`, ms",
            "a StatsD flush, ms",
        ],
    )
    for count in (1, 10, 100, 1000):
        with tempfile.TemporaryDirectory(dir=_MEMORY) as folder, statsd_sink() as port:
            row = _of_series(count, Path(folder), port, quick)
        table.rows.append([str(count), *(each.text(2) for each in row)])
        found.facts[f"increment {count}"] = row[0].median
    found.tables.append(table)


def _of_series(count: int, folder: Path, port: int, quick: bool) -> list[Spread]:
    metrics = Metrics(arena=Arena(folder))
    metrics.add_backend(StatsD("127.0.0.1", port, "app", interval=3600.0))
    jobs = metrics.counter("jobs.done", ("queue",))
    names = itertools.cycle([f"queue-{number}" for number in range(count)])
    for _ in range(count):
        jobs.labels(next(names)).add()
    kept = jobs.labels("queue-0")
    calls, rounds = (1000, 3) if quick else (5000, 15)
    page = Vars(lambda: expvar(metrics), Door("open"))

    def flush() -> None:
        for _ in range(count):
            jobs.labels(next(names)).add()
        metrics.flush()

    figures = {
        "next": micros(lambda: next(names), calls),
        "labels": micros(lambda: jobs.labels(next(names)).add(), calls),
        "nothing": micros(lambda: None, calls),
        "kept": micros(lambda: kept.add(), calls),
        "page": micros(lambda: _read(page), 3),
        "flush": micros(flush, 3),
    }
    seen = in_turn(figures, rounds)
    metrics.close()
    labelled = [a - b for a, b in zip(seen["labels"], seen["next"], strict=True)]
    added = [a - b for a, b in zip(seen["kept"], seen["nothing"], strict=True)]
    return [
        Spread.of(labelled),
        Spread.of(added),
        Spread.of([each / 1e3 for each in seen["page"]]),
        Spread.of([each / 1e3 for each in seen["flush"]]),
    ]


def _read(page: Vars) -> None:
    page.on_get(falcon.Request(ENVIRON | {"wsgi.input": io.BytesIO()}), falcon.Response())
