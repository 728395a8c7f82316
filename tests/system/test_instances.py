"""Instances of a service under load: killed, drained, added, made slow, by turns."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections import Counter
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from falconkit import Context
from falconkit.arena import Arena
from falconkit.circuitbreaker import CircuitBreaker
from falconkit.context import Asked
from falconkit.errors import OutcomeUnknown
from falconkit.metrics import Metrics
from falconkit.presets import call_stack, try_stack
from falconkit.sd import from_file
from falconkit.testing import wait_until
from falconkit.testing.gunicorn import Gunicorn
from falconkit.transport import http

ROOT = Path(__file__).parents[2]
TURNS = int(os.environ.get("FALCONKIT_TURNS", "3"))
"""How often each of it happens; more than 3 want ``pytest -o faulthandler_timeout=600``."""


class Instances(AbstractContextManager["Instances"]):
    """Some instances, and the file by which they are discovered."""

    def __init__(self, folder: Path) -> None:
        self.registry = folder / "counter"
        self.ledger = folder / "ledger"
        self.folder = folder
        self.live: list[Gunicorn] = []
        self._started = 0
        self._stack = ExitStack()

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def slow(self, server: Gunicorn) -> Path:
        return Path(server._env["SLOW"])

    def start(self) -> Gunicorn:
        self._started += 1
        mark = self.folder / f"slow-{self._started}"
        server = Gunicorn(
            "tests.system.counting:app",
            cwd=ROOT,
            LEDGER=str(self.ledger),
            SLOW=str(mark),
            FALCONKIT_RUN=str(self.folder / f"run-{self._started}"),
            DRAIN_SECONDS="0.5",
        )
        self._stack.callback(server.kill)
        return server.__enter__()

    def replace(self, *gone: Gunicorn) -> Gunicorn:
        """Add one, and tell who is there now."""
        added = self.start()
        self.live = [each for each in self.live if each not in gone] + [added]
        new = self.registry.with_suffix(".new")
        new.write_text("".join(f"{address(each)}\n" for each in self.live))
        new.replace(self.registry)
        return added


def address(server: Gunicorn) -> str:
    return f"127.0.0.1:{server.port}"


class Calls(AbstractContextManager["Calls"]):
    """Threads that call: some read, some write and remember what they were told of each.

    Attributes:
        asked: When and who answered each call that worked, in order.
        acknowledged: The additions that were made.
        unknown: Those of which nobody can say it.
        errors: What else was raised; nothing should be.
    """

    def __init__(self, counter: http.Service, *, readers: int = 3, writers: int = 2) -> None:
        self.asked: list[tuple[float, str]] = []
        self.acknowledged: list[str] = []
        self.unknown: list[str] = []
        self.errors: list[object] = []
        self._stop = threading.Event()
        read, add = counter.get("/total/{name}", returns=str), counter.post("/add", returns=str)
        self._threads = [
            threading.Thread(target=self._run, args=(call, f"{n}"))
            for n, call in enumerate([read] * readers + [add] * writers)
        ]
        self._writes = add

    def __enter__(self) -> Calls:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for each in self._threads:
            each.join()

    def more(self, count: int) -> list[str]:
        """Wait for so many more calls; returns who answered each of them."""
        before = len(self.asked)
        wait_until(lambda: self.errors or len(self.asked) >= before + count, 60)
        return [instance for _, instance in self.asked[before : before + count]]

    def _run(self, call: http.client.Endpoint, thread: str) -> None:
        for number in itertools.count():
            if self._stop.wait(0.002):
                return
            name, ctx = f"{thread}-{number}", Context()
            try:
                assert call(ctx, name) == name
            except OutcomeUnknown:
                (self.unknown if call is self._writes else self.errors).append(name)
            except Exception as error:
                self.errors.append(error)
            else:
                self.asked.append((time.monotonic(), ctx.notes.of(Asked)[-1].instance))
                if call is self._writes:
                    self.acknowledged.append(name)


def share(asked: list[str], server: Gunicorn) -> float:
    return Counter(asked)[address(server)] / len(asked)


def test_no_caller_sees_what_happens_to_instances(tmp_path: Path) -> None:
    arena = Arena(tmp_path / "run")
    with Instances(tmp_path) as instances, ExitStack() as stack:
        for _ in range(3):
            instances.replace()
        counter = http.service(
            "counter",
            sd=from_file(instances.registry, every=0.05),
            around=call_stack(Metrics(arena=arena)),
            each=try_stack(breaker=lambda name: CircuitBreaker(name, arena=arena)),
        )
        stack.callback(counter.close)
        with Calls(counter) as calls:
            for turn in range(TURNS):
                killed, drained, slow = instances.live
                calls.more(100)

                os.killpg(killed.pid, signal.SIGKILL)
                calls.more(200)  # it is still in the registry
                added = instances.replace(killed)
                wait_until(lambda: address(added) in calls.more(20), 60)  # noqa: B023

                drained.signal(signal.SIGTERM)
                calls.more(100)
                assert drained.wait() == 0
                calls.more(100)
                added = instances.replace(drained)
                wait_until(lambda: address(added) in calls.more(20), 60)  # noqa: B023

                began = time.monotonic()
                instances.slow(slow).touch()
                wait_until(lambda: share(calls.more(300), slow) < 0.05, 60)  # noqa: B023
                if TURNS > 3:
                    tell(turn, calls, slow, began)
                instances.slow(slow).unlink()
                assert not calls.errors
        assert not calls.errors
        made = Counter(instances.ledger.read_text().split())
    assert set(made.values()) == {1}, "what must not run twice did not"
    assert made.keys() >= set(calls.acknowledged)
    assert made.keys() <= {*calls.acknowledged, *calls.unknown}
    # Only a kill or a drain may leave one open, and of the writers that were calling then.
    assert len(calls.unknown) <= 4 * TURNS
    if TURNS > 3:
        print(f"{len(calls.asked)} calls, {len(calls.unknown)} writes unknown, no error")


def tell(turn: int, calls: Calls, slow: Gunicorn, began: float) -> None:
    """Print the slow one's share of the calls in the first seconds of its slowness."""
    wait_until(lambda: time.monotonic() > began + 3)
    for low, high in ((0, 2), (2, 3)):
        asked = [who for at, who in calls.asked if began + low <= at < began + high]
        print(f"turn {turn}, {low} to {high} s: {share(asked, slow):.2%} of {len(asked)}")
