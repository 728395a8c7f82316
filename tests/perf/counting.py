"""Count what the interpreter does for one request: ``python -m tests.perf.counting`` prints it.

It is a process of its own, without coverage's tracer or anybody's hooks. What is opened
on first use is open before it counts, and the least of many requests is taken: a second
that turns, or a histogram's bucket that is met first, adds steps and never takes any
away. So a count is the same in each run on one version of Python and of the libraries.
"""

from __future__ import annotations

import gc
import json
import logging
import os
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

CALLS = ("call", "c_call")


def calls_of(once: Callable[[], object]) -> int:
    """Return the calls of Python and C functions in one call of ``once``, itself left out."""
    seen = 0

    def profile(frame: FrameType, event: str, arg: object) -> None:
        nonlocal seen
        seen += event in CALLS

    sys.setprofile(profile)
    once()
    sys.setprofile(None)
    return seen - 2  # once() and setprofile() are calls, too


def steps_of(once: Callable[[], object]) -> int:
    """Return the bytecode instructions that one call of ``once`` takes."""
    seen = 0

    def trace(frame: FrameType, event: str, arg: object) -> Any:
        nonlocal seen
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        seen += event == "opcode"
        return trace

    sys.settrace(trace)
    once()
    sys.settrace(None)
    return seen


def least(once: Callable[[], object]) -> dict[str, int]:
    """Return the least counts of some calls in a row, after some that warm up."""
    for _ in range(100):
        once()
    return {
        "calls": min(calls_of(once) for _ in range(30)),
        "steps": min(steps_of(once) for _ in range(30)),
    }


def cases() -> dict[str, Callable[[], object]]:
    """Return what is counted, each as a function without arguments."""
    from benchmarks import apps
    from benchmarks.in_process import ID, calling
    from falconkit import Context, chain
    from falconkit.log import JsonFormatter, RequestLine, log
    from falconkit.metrics import Metrics, measure
    from falconkit.ratelimit import TokenBucket, limit

    def add(ctx: Context, v: int) -> int:
        return v

    metrics, bucket = Metrics(), TokenBucket("1000000/second")
    counter = metrics.counter("jobs.done", ("queue",))
    line = RequestLine("", "info", "POST", "/add", 1, 1, None, ID)
    formatter = JsonFormatter()
    layers = {"log": log(), "measure": measure(metrics), "limit": limit(bucket)}
    called = {name: each(add) for name, each in layers.items()}
    called["log, measure and limit"] = chain(*layers.values())(add)

    def one() -> int:
        return len("v")

    def asked(name: str) -> Callable[[], object]:
        # A new context each time, as each request has: notes are left in it.
        return lambda: called[name](Context("POST", "/add", ID), 1)

    return {
        "one call": one,
        "a call more": lambda: one(),
        "a request": calling(apps.full),
        "a request of bare Falcon": calling(apps.bare),
        **{name: asked(name) for name in called},
        "a context and its endpoint": lambda: add(Context("POST", "/add", ID), 1),
        "a decision": lambda: bucket.take("add"),
        "a line's text": lambda: formatter.request_line(line),
        "an increment by labels": lambda: counter.labels("mail").add(),
    }


def main() -> None:
    """Print the counts as JSON; what the app logs goes nowhere."""
    answer = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    gc.disable()
    found = {name: least(once) for name, once in cases().items()}
    os.write(answer, json.dumps(found).encode())
    logging.shutdown()


if __name__ == "__main__":
    main()
