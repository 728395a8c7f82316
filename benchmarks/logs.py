"""Log lines to a pipe: how many a second, and what a call waits for when nobody reads."""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pythonjsonlogger.json import JsonFormatter as PythonJsonFormatter

from benchmarks.measure import Spread, in_turn, ratio
from benchmarks.section import Found, Table
from falconkit import Context
from falconkit.log import Handler, log

_MOST_SECONDS = 3.0
_READER = (
    "import os, sys, time\n"
    "how = sys.argv[1]\n"
    "if how == 'stalled':\n"
    "    time.sleep(60)\n"
    "size = 65536 if how == 'reads' else 20000\n"
    "while os.read(0, size):\n"
    "    if how != 'reads':\n"
    "        time.sleep(0.02)\n"
)
_CONTEXT = Context("POST", "/add", "9c248150-03ac-4b24-b5a7-f7c1f0fb05ed")


def main(quick: bool) -> Found:
    """Measure a reader that keeps up, one that does not, and one that has stopped."""
    found = Found()
    _rates(found, 0.3 if quick else 1.0, 3 if quick else 7)
    _slow(found, 0.5 if quick else 2.0)
    return found


@contextmanager
def _pipe(how: str) -> Iterator[int]:
    """Yield a pipe's writing end; another process reads it so."""
    reader = subprocess.Popen([sys.executable, "-c", _READER, how], stdin=subprocess.PIPE)
    try:
        assert reader.stdin is not None
        yield reader.stdin.fileno()
    finally:
        reader.kill()
        reader.wait()
        if reader.stdin is not None:
            reader.stdin.close()


def _ours(fd: int) -> tuple[Callable[[], object], Callable[[], int]]:
    handler = Handler(os.fdopen(os.dup(fd), "w"))
    endpoint = log(sink=handler)(lambda ctx, v: v)
    return lambda: endpoint(_CONTEXT, 1), lambda: handler.dropped


def _plain(fd: int) -> tuple[Callable[[], object], Callable[[], int]]:
    handler = logging.StreamHandler(os.fdopen(os.dup(fd), "w"))
    handler.setFormatter(PythonJsonFormatter())
    logger = logging.Logger("counter")
    logger.addHandler(handler)
    fields = {"path": "/add", "request": 1, "result": 1, "request_id": _CONTEXT.request_id}
    return lambda: logger.info("request", extra=fields), lambda: 0


def _rates(found: Found, seconds: float, rounds: int) -> None:
    sinks = {"falconkit": _ours, "logging with python-json-logger": _plain}
    with _pipe("reads") as fd:
        writers = {name: made(fd)[0] for name, made in sinks.items()}
        figures = {
            name: (lambda write=write: _for(write, seconds)[0] / seconds)
            for name, write in writers.items()
        }
        seen = in_turn(figures, rounds)
    ours, plain = seen.values()
    table = Table(
        "Log lines a second to a pipe that is read", ["logger", "lines a second", "ratio"]
    )
    for name, values in seen.items():
        table.rows.append([name, Spread.of(values).text(0), ratio(values, plain).text(1)])
    found.tables.append(table)
    found.facts["lines"] = ratio(ours, plain).median


def _for(write: Callable[[], object], seconds: float) -> tuple[int, float]:
    """Write for so long; return how many calls there were, and the longest."""
    lines, longest, clock = 0, 0.0, time.perf_counter
    end = clock() + seconds
    while (began := clock()) < end:
        write()
        longest = max(longest, clock() - began)
        lines += 1
    return lines, longest


def _slow(found: Found, seconds: float) -> None:
    table = Table(
        "Log lines to a pipe that is not read as fast as they come",
        ["logger, reader", "calls", "lines dropped, and counted", "longest call, ms"],
    )
    for how, words in (("slow", "reads 1 MB a second"), ("stalled", "has stopped")):
        with _pipe(how) as fd:
            write, dropped = _ours(fd)
            lines, longest = _for(write, seconds)
            counted = dropped()
        cells = [f"{lines:,}", f"{counted:,}", f"{longest * 1e3:.1f}"]
        table.rows.append([f"falconkit, the reader {words}", *cells])
        found.facts[f"longest {how}"] = longest * 1e3
        found.facts[f"dropped {how}"] = float(counted)
    calls, hung = _plain_until_it_hangs(seconds)
    end = "it hung, and would hang on" if hung else "it did not hang"
    table.rows.append([f"python-json-logger, the reader has stopped: {end}", calls, "0", ""])
    table.notes.append(
        "The first line that finds no room waits 50 ms (LOG_WAIT), the next ones not at all; a "
        "line says how many were dropped when there is room again."
    )
    found.tables.append(table)


def _plain_until_it_hangs(seconds: float) -> tuple[str, bool]:
    """Log to a stopped reader in a child, which has a while for it and is ended then."""
    with _pipe("stalled") as fd:
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            call = _plain(fd)[0]
            for _ in range(100_000):
                call()
                os.write(write, b".")
            os._exit(0)
        os.close(write)
        calls, ended = 0, False
        deadline = time.monotonic() + min(seconds, _MOST_SECONDS) + 1
        try:
            while time.monotonic() < deadline and not ended:
                if select.select([read], [], [], 0.5)[0]:
                    data = os.read(read, 65536)
                    calls, ended = calls + len(data), not data
        finally:
            os.kill(child, 9)
            os.waitpid(child, 0)
            os.close(read)
        return f"{calls:,}", not ended
