"""``make demo``: starts every service, calls them, kills one with -9, and shows what callers saw.

It exits with 1 if a caller saw an error. What it starts it ends, on Ctrl-C too.
"""

import argparse
import json
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from examples.callers import QUESTIONS, Callers
from examples.running import Running, url
from falconkit.clock import system_clock
from falconkit.testing.gunicorn import Gunicorn


def main() -> int:
    """Run the demo; returns its exit status."""
    parser = argparse.ArgumentParser(description="Services find and call each other.")
    parser.add_argument("--seconds", type=int, default=9, help="how long they are called")
    seconds = max(3, parser.parse_args().seconds)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)  # as Ctrl-C, it ends everything
    try:
        say("starting a gateway, a proxy, three string services, an adding service ...")
        with tempfile.TemporaryDirectory() as folder, Running(Path(folder)) as running:
            return show(running, seconds)
    except KeyboardInterrupt:
        say("\nstopped; all services have ended")
        return 130


def show(running: Running, seconds: int) -> int:
    """Call the gateway, let things happen meanwhile, and say what callers saw."""
    say(f"gateway at {url(running.gateway)}: {' '.join(path for path, _, _ in QUESTIONS)}")
    say(f"the last traces are drawn at {url(running.gateway)}/debug/traces\n")
    say("second   calls  errors   string services: calls since the line before")
    table = Table(running)
    with Callers(running.gateway.port) as callers:
        for second in range(1, seconds + 1):
            system_clock.sleep(1.0)
            say(f"{second:6}  {callers.calls:6}  {callers.errors.total():6}   {table.row()}")
            if second == seconds // 3:
                running.kill("b")
                say("   -> kill -9 of b; nobody tells the registry")
            if second == seconds * 2 // 3:
                running.add("d")
                say("   -> d is started, and in the registry in place of b")
    for error, times in callers.errors.items():
        say(f"{times} times {error}")
    say(f"\n{callers.calls} calls, {callers.errors.total()} errors")
    return 1 if callers.errors or not callers.calls else 0


class Table:
    """How many calls each instance has answered since the last row."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._before: dict[str, int] = {}

    def row(self) -> str:
        """Return the next row."""
        return "  ".join(f"{letter} {calls:>5}" for letter, calls in self._cells())

    def _cells(self) -> Iterator[tuple[str, str]]:
        for letter, server in self._running.instances.items():
            if server.process.poll() is not None:
                yield letter, "dead"
                continue
            before, now = self._before.get(letter, 0), _count(server)
            self._before[letter] = now
            yield letter, str(now - before)


def _count(server: Gunicorn) -> int:
    _, _, body = server.get("/debug/vars")
    return int(json.loads(body).get("request.count", 0))


def say(line: str) -> None:
    """Write a line, at once."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
