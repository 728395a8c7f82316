"""A simulated storm: what the clients of a service that was away do to it.

A discrete-event run with a seed, in virtual time. The clients are threads that call the
real middlewares; whoever would wait hands on to whoever is next in time, so that one
runs at a time, and the same seed gives the same storm.

    python -m benchmarks.storm [--seed N] [--clients N]

writes ``docs/storm.svg`` and prints the table that ``docs/presets.md`` has.
"""

from __future__ import annotations

import argparse
import logging
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.storm_chart import Outcome, Weather, chart, table
from benchmarks.storm_world import Backend, World
from falconkit import Context, Endpoint, Middleware, chain
from falconkit.arena import Arena
from falconkit.deadline import timeout
from falconkit.errors import FalconkitError
from falconkit.events import Events
from falconkit.metrics import Metrics
from falconkit.presets import client_stack, quick_breaker
from falconkit.retry import Budget, fixed, full_jitter, retry

CHART = Path(__file__).parents[1] / "docs" / "storm.svg"


@dataclass(frozen=True, slots=True)
class Site:
    """What the stacks of one storm are made of."""

    world: World
    chance: random.Random
    patience: float
    metrics: Metrics


Stack = Callable[[Site], Middleware]


def ours(site: Site) -> Middleware:
    """Return the client stack; only chance, time and the patience are not its defaults."""
    return client_stack(
        site.metrics,
        per_try_timeout=site.patience,
        breaker=partial(quick_breaker, shared=False, clock=site.world, rng=site.chance),
        clock=site.world,
    )


def plain(site: Site) -> Middleware:
    """Return three tries, one right after the other, as a loop has them."""
    again = retry(wait=fixed(0.0), budget=_boundless(site), clock=site.world)
    return chain(again, timeout(site.patience, clock=site.world))


def jittered(site: Site) -> Middleware:
    """Return three tries with exponential waits and full jitter, and nothing that bounds them."""
    wait = full_jitter(0.1, 2.0)
    again = retry(wait=wait, budget=_boundless(site), clock=site.world, rng=site.chance.uniform)
    return chain(again, timeout(site.patience, clock=site.world))


STACKS: Mapping[str, Stack] = {
    "client_stack": ours,
    "3 tries": plain,
    "3 tries, backoff and jitter": jittered,
}


def _boundless(site: Site) -> Budget:
    return Budget(ratio=100.0, floor=1e6, clock=site.world)


def storm(stack: Stack, weather: Weather) -> Outcome:
    """Let it blow once."""
    chance = random.Random(weather.seed)
    world = World(weather.end)
    backend = Backend(
        world,
        servers=round(weather.clients * weather.seconds),
        seconds=weather.seconds,
        backlog=weather.backlog * weather.clients // 1_000,
        refuses=weather.refuses,
    )
    good: Counter[int] = Counter()
    world.at(weather.fails_at, backend.fail)
    world.at(weather.back_at, backend.come_back)
    with _quiet(weather.seed), _metrics() as metrics:
        site = Site(world, chance, weather.patience, metrics)
        endpoints = [stack(site)(backend) for _ in range(weather.processes)]
        for number in range(weather.clients):
            endpoint = endpoints[number % weather.processes]
            first = number / weather.clients
            world.spawn(partial(_calls, world, endpoint, first, good), 0.0)
        world.run()
    seconds = range(weather.end)
    return Outcome(
        weather,
        load=tuple(backend.asked[second] / weather.clients for second in seconds),
        good=tuple(good[second] / weather.clients for second in seconds),
    )


def _calls(world: World, endpoint: Endpoint[int, str], first: float, good: Counter[int]) -> None:
    unheard = Events(lambda event: None)
    due = first
    while True:
        if world.monotonic() < due:
            world.sleep(due - world.monotonic())
        try:
            endpoint(Context(events=unheard), 1)
            good[int(world.monotonic())] += 1
        except FalconkitError:
            pass
        due = max(due + 1.0, world.monotonic())


@contextmanager
def _metrics() -> Iterator[Metrics]:
    with tempfile.TemporaryDirectory() as place:
        arena = Arena(place)
        try:
            yield Metrics(arena=arena)
        finally:
            arena.close()


@contextmanager
def _quiet(seed: int) -> Iterator[None]:
    """Write no log lines, and draw what the stacks draw themselves from a seed, too."""
    logger = logging.getLogger("falconkit.request")
    was, state = logger.disabled, random.getstate()
    logger.disabled = True
    random.seed(seed)
    try:
        yield
    finally:
        logger.disabled = was
        random.setstate(state)


def main() -> None:
    """Write the chart and the table."""
    parser = argparse.ArgumentParser(prog="benchmarks.storm", description=__doc__)
    parser.add_argument("--seed", type=int, default=Weather().seed)
    parser.add_argument("--clients", type=int, default=Weather().clients)
    given = parser.parse_args()
    weather = Weather(clients=given.clients, seed=given.seed)
    outcomes = {name: storm(stack, weather) for name, stack in STACKS.items()}
    CHART.write_text(chart(outcomes))
    alone = Weather(clients=given.clients, processes=given.clients, seed=given.seed)
    refusing = Weather(clients=given.clients, refuses=True, seed=given.seed)
    more = {
        "`client_stack`, it refuses at once": storm(ours, refusing),
        "3 tries, it refuses at once": storm(plain, refusing),
        "`client_stack`, each client in a process of its own": storm(ours, alone),
    }
    print(table(outcomes | more))


if __name__ == "__main__":
    main()
