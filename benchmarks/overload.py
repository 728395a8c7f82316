"""What becomes of a service that is offered ten times what it can do; a table in Markdown.

    python benchmarks/overload.py [--seconds 30] [--warm-up 20] [--times 10]

A real gunicorn of 2 workers with 64 threads each. Its endpoint waits for a backend that
serves 8 calls at once, in 50 ms each. Calls come at random moments, whether or not
those before them were answered; a caller gives up after 1 s. Good is an answer within
250 ms. The best is what the service does when 16 callers take turns.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from falconkit.testing import wait_until
from falconkit.testing.gunicorn import Gunicorn

HERE = Path(__file__).parent
PLACES, SERVICE = 8, 0.05
TARGET, PATIENCE = 0.25, 1.0
SETTINGS = "from falconkit.server.gunicorn import *\nthreads = 64\n"
REQUEST = b"GET /work HTTP/1.1\r\nHost: t\r\n\r\n"
GUARDS = {
    "none": "nothing",
    "bulkhead": "`bulkhead(share(8, workers=2), max_wait=0.05)`",
    "gradient": "`shed(Gradient2())`",
    "aimd": "`shed(AIMD(timeout=0.1))`",
}


@dataclass
class Seen:
    """What came of the calls of one stretch of time."""

    seconds: float
    statuses: Counter[str] = field(default_factory=Counter)
    took: list[float] = field(default_factory=list)
    refused_in: list[float] = field(default_factory=list)
    good: Counter[int] = field(default_factory=Counter)

    @property
    def goodput(self) -> float:
        """Good answers a second."""
        return self.good.total() / self.seconds

    @property
    def worst(self) -> float:
        """Good answers in the worst second."""
        return min(self.good[second] for second in range(int(self.seconds)))


def quantile(values: list[float], q: float) -> str:
    """Return a quantile, for people."""
    return f"{sorted(values)[int(q * (len(values) - 1))] * 1000:.0f} ms" if values else "-"


class Connection(asyncio.Protocol):
    """One connection, kept; one call at a time."""

    answer: asyncio.Future[int]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what writes."""
        self.transport = cast(asyncio.Transport, transport)
        self.got = b""

    def data_received(self, data: bytes) -> None:
        """Read an answer, as it comes."""
        self.got += data
        head, end, body = self.got.partition(b"\r\n\r\n")
        if end and len(body) >= int(head.lower().partition(b"content-length: ")[2].split()[0]):
            self.got = b""
            if not self.answer.done():
                self.answer.set_result(int(head[9:12]))

    def connection_lost(self, error: Exception | None) -> None:
        """Fail the call that is in flight."""
        if hasattr(self, "answer") and not self.answer.done():
            self.answer.set_exception(ConnectionError("closed"))


class Callers:
    """Calls that come whether or not those before them were answered."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._idle: list[Connection] = []

    async def call(self, seen: Seen, began: float, due: float) -> None:
        """Make one call, which was due at a time, and write down what came of it."""
        loop = asyncio.get_running_loop()
        connection: Connection | None = None
        try:
            async with asyncio.timeout_at(due + PATIENCE):
                while self._idle and connection is None:
                    connection = self._idle.pop()
                    if connection.transport.is_closing():
                        connection = None
                if connection is None:
                    _, connection = await loop.create_connection(
                        Connection, "127.0.0.1", self._port
                    )
                connection.answer = loop.create_future()
                connection.transport.write(REQUEST)
                status = await connection.answer
        except (TimeoutError, OSError) as ex:
            if connection is not None:
                connection.transport.abort()
            seen.statuses["gave up" if isinstance(ex, TimeoutError) else "broken"] += 1
            return
        self._idle.append(connection)
        took = loop.time() - due
        seen.statuses[str(status)] += 1
        if status != 200:
            seen.refused_in.append(took)
            return
        seen.took.append(took)
        if took <= TARGET:
            seen.good[int(loop.time() - began)] += 1

    async def offer(self, rate: float, seconds: float) -> Seen:
        """Offer so many calls a second, at random moments."""
        loop, rng, seen = asyncio.get_running_loop(), random.Random(1), Seen(seconds)
        began = due = loop.time()
        tasks: set[asyncio.Task[None]] = set()
        while due < began + seconds:
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            task = asyncio.create_task(self.call(seen, began, due))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            due += rng.expovariate(rate)
        await asyncio.gather(*tasks)
        return seen

    async def take_turns(self, number: int, seconds: float) -> Seen:
        """Call with so many callers, each when its last call is answered."""
        loop, seen = asyncio.get_running_loop(), Seen(seconds)
        began = loop.time()

        async def caller() -> None:
            while loop.time() < began + seconds:
                await self.call(seen, began, loop.time())

        await asyncio.gather(*(caller() for _ in range(number)))
        return seen


async def backend(port: int) -> None:
    """Serve so many at once, the others in the order of their coming."""
    places = asyncio.Semaphore(PLACES)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while asked := await reader.read(1):
            async with places:
                await asyncio.sleep(SERVICE)
            writer.write(asked)

    server = await asyncio.start_server(serve, "127.0.0.1", port, backlog=512)
    await server.serve_forever()


def resident(pids: list[int]) -> int:
    """Return the resident memory of processes, in KiB."""
    texts = [Path(f"/proc/{pid}/status").read_text() for pid in pids]
    return sum(int(text.partition("VmRSS:")[2].split()[0]) for text in texts)


@dataclass
class Outcome:
    """What one guard made of it."""

    best: Seen
    load: Seen
    grown: float


def measure(guard: str, port: int, options: argparse.Namespace) -> Outcome:
    """Start the service behind ``guard`` and offer it too much."""

    async def run(server: Gunicorn) -> Outcome:
        callers = Callers(server.port)
        best = await callers.take_turns(2 * PLACES, 5 if guard == "none" else 0)
        rate = options.times * PLACES / SERVICE
        await callers.offer(rate, options.warm_up)
        before = resident(server.workers())
        load = await callers.offer(rate, options.seconds)
        return Outcome(best, load, resident(server.workers()) / before - 1)

    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder, "settings.py")
        settings.write_text(SETTINGS)
        server = Gunicorn(
            "overload_service:app",
            config=str(settings),
            cwd=HERE,
            workers=2,
            GUARD=guard,
            BACKEND=str(port),
            DRAIN_SECONDS="0",
        )
        with server:
            return asyncio.run(run(server))


def row(guard: str, outcome: Outcome, best: float) -> str:
    """Return a row of the table."""
    load = outcome.load
    offered = load.statuses.total() / load.seconds
    cells = [
        GUARDS[guard],
        f"{offered:.0f}",
        f"{load.goodput:.0f}",
        f"{load.goodput / best:.2f}",
        f"{load.worst / best:.2f}",
        quantile(load.took, 0.5),
        quantile(load.took, 0.99),
        f"{load.statuses['503'] / load.seconds:.0f}",
        quantile(load.refused_in, 0.5),
        f"{(load.statuses['gave up'] + load.statuses['broken']) / load.seconds:.0f}",
        f"{outcome.grown:+.1%}",
    ]
    return f"| {' | '.join(cells)} |"


def _listens(port: int) -> bool:
    socket.create_connection(("127.0.0.1", port)).close()
    return True


def main() -> None:
    """Run it all and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--warm-up", type=int, default=20)
    parser.add_argument("--times", type=float, default=10.0)
    parser.add_argument("--backend", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.backend:
        asyncio.run(backend(options.backend))
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    child = subprocess.Popen([sys.executable, __file__, "--backend", str(port)])
    try:
        wait_until(lambda: _listens(port))
        outcomes = {guard: measure(guard, port, options) for guard in GUARDS}
    finally:
        child.terminate()
        child.wait(10)
    best = outcomes["none"].best.goodput
    load = os.getloadavg()[0]
    print(
        f"Offered for {options.seconds} s: {options.times:g} times what the backend can do. "
        f"Best goodput: {best:.0f}/s. {os.cpu_count()} CPUs, load {load:.1f}, "
        f"Python {sys.version.split()[0]}, {time.strftime('%Y-%m-%d')}.\n"
    )
    print(
        "| before the endpoint | offered/s | good/s | of the best | worst second "
        "| p50 of 200 | p99 of 200 | refused/s | p50 of 503 | gave up/s | RSS |"
    )
    print(f"|{'---|' * 11}")
    for guard, outcome in outcomes.items():
        print(row(guard, outcome, best))


if __name__ == "__main__":
    main()
