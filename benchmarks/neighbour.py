"""How long a decision takes in one worker while the threads of both compute."""

from __future__ import annotations

import fcntl
import mmap
import multiprocessing
import os
import statistics
import struct
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.section import Found, Table
from falconkit.arena import Arena
from falconkit.ratelimit import TokenBucket

Take = Callable[[], object]
_PACE = 0.001


class NaiveBucket:
    """The same algorithm under ``fcntl.flock``, as one would write it first."""

    def __init__(self, folder: str) -> None:
        self._file = os.open(Path(folder, "bucket"), os.O_RDWR | os.O_CREAT)
        os.ftruncate(self._file, 8)
        self._cell = mmap.mmap(self._file, 8)

    def take(self) -> bool:
        """Take one of a million a second."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            now = time.monotonic()
            (tat,) = struct.unpack("d", self._cell)
            self._cell[:] = struct.pack("d", max(tat, now) + 1e-6)
            return bool(tat - now <= 1.0)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)


def naive(folder: str) -> Take:
    """Open the naive bucket in this process."""
    return NaiveBucket(folder).take


def ours(folder: str) -> Take:
    """Open the arena's bucket in this process."""
    bucket = TokenBucket("1000000/second", arena=Arena(folder))
    return lambda: bucket.take("add")


def unshared(folder: str) -> Take:
    """Make a bucket that no other process has, so that nobody is waited for."""
    bucket = TokenBucket("1000000/second", storage="memory://")
    return lambda: bucket.take("add")


def main(quick: bool) -> Found:
    """Measure with idle and with computing threads beside the one that decides."""
    seconds = 2.0 if quick else 6.0
    table = Table(
        "A limiter's decision in a worker whose neighbour computes, µs",
        ["lock, and the worker's own other threads", "p50", "p99", "p99.9", "longest"],
    )
    found = Found([table])
    peers = {
        "naive `fcntl.flock`": naive,
        "falconkit's arena": ours,
        "no lock, `memory://`": unshared,
    }
    for what, opened in peers.items():
        for computing in (0, 3):
            seen = _neighbours(opened, computing, seconds)
            p = [_at(seen, share) for share in (0.5, 0.99, 0.999, 1.0)]
            beside = f"{computing} compute" if computing else "idle"
            row = [f"{each * 1e6:,.1f}" for each in p]
            table.rows.append([f"{what}, {beside}", *row])
            found.facts[f"p99 {opened.__name__} {computing}"] = p[1] * 1e6
    table.notes.append(
        "Two workers of 4 threads, on a core each where there are two. In the neighbour 3 compute "
        "and 1 decides without a pause. Measured is the deciding thread of the other worker, which "
        "decides once a millisecond, as calls come: without pauses it would decide thousands of "
        "times between two waits, and no percentile would show them. The rows without a lock tell "
        "what is not waiting: after some ms of other work on the core a decision finds cold caches."
    )
    return found


def _at(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _neighbours(opened: Callable[[str], Take], computing: int, seconds: float) -> list[float]:
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        noisy = context.Process(target=_work, args=(opened, folder, 3, seconds + 1, None, 0))
        measured = context.Process(
            target=_work, args=(opened, folder, computing, seconds, queue, 1), daemon=True
        )
        noisy.start()
        measured.start()
        try:
            seen: list[float] = queue.get(timeout=seconds + 30)
        finally:
            for each in (measured, noisy):
                each.join(10)
                each.kill()
        return sorted(seen)


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _work(
    opened: Callable[[str], Take],
    folder: str,
    computing: int,
    seconds: float,
    queue: Any,
    core: int,
) -> None:
    have = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {have[core % len(have)]})
    take = opened(folder)
    take()
    stop = time.monotonic() + seconds
    for _ in range(computing):
        threading.Thread(target=_compute, args=(stop,), daemon=True).start()
    clock, waits = time.perf_counter, []
    while time.monotonic() < stop:
        if queue is not None:
            time.sleep(_PACE)
        began = clock()
        take()
        waits.append(clock() - began)
        if queue is None:
            waits.clear()
    if queue is not None:
        queue.put(waits)


def _compute(stop: float) -> None:
    while time.monotonic() < stop:
        statistics.fmean(range(200))
        sum(number * number for number in range(2_000))
