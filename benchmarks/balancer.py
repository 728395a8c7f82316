"""What a pick costs, how even picks are, and how long a new set takes; Markdown on stdout.

    python -m benchmarks.balancer [--rounds 41]

Everything is over 1,000 instances (and 3, where that is said). Policies are measured in turn, once
a round; what is told is the median of the rounds. Sets are measured in the processor's time of the
thread that takes them over, so that a busy machine does not count.
"""

from __future__ import annotations

import argparse
import gc
import platform
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable

from benchmarks.measure import in_turn, micros
from falconkit import Context
from falconkit.sd import (
    Balancer,
    Endpointer,
    Instance,
    LeastInFlight,
    PeakEwma,
    Policy,
    Random,
    RoundRobin,
    Snapshot,
    Static,
    Sticky,
    Weighted,
)
from falconkit.sd.instancer import Listener
from falconkit.sd.member import Factory
from falconkit.transport.http.client import Client

MANY = tuple(Instance(f"10.0.{n // 250}.{n % 250 + 1}", 80) for n in range(1000))
OTHERS = tuple(Instance(f"10.1.{n // 250}.{n % 250 + 1}", 80) for n in range(1000))
CTX = Context()
_BATCH = 2000


class Told:
    """An instancer that says what it is told to."""

    def listen(self, listener: Listener, /) -> None:
        """Remember who listens."""
        self.tell = listener

    def forget(self, listener: Listener, /) -> None:
        """Do nothing."""

    def close(self) -> None:
        """Do nothing."""


def answering(instance: Instance) -> Callable[[Context, object], str]:
    """Return an endpoint that answers at once."""
    return lambda ctx, request: instance.host


def over(policy: Policy, count: int = 1000) -> Balancer:
    """Return a balancer over so many instances, whose latencies are known."""
    balancer = Balancer(Endpointer(Static(*MANY[:count]), answering), policy)
    for _ in range(count * 4):
        balancer(Context(), "key")
    return balancer


def _picking(balancer: Balancer) -> Callable[[], object]:
    pick = balancer.pick
    return lambda: pick(CTX, None)


def _calling(endpoint: Callable[[Context, object], object]) -> Callable[[], object]:
    return lambda: endpoint(Context(), None)


def picks(rounds: int) -> None:
    """Tell what a pick costs, and a whole call."""
    keys = [f"key {n}" for n in range(100_000)]
    fresh = iter(keys * 1000)
    policies: dict[str, Policy] = {
        "RoundRobin()": RoundRobin(),
        "PeakEwma()": PeakEwma(),
        "Weighted()": Weighted(),
        "Random()": Random(),
        "LeastInFlight(2)": LeastInFlight(2),
        "Sticky, a key seen before": Sticky(lambda ctx, request: "key"),
    }
    figures: dict[str, Callable[[], float]] = {}
    for count in (3, 1000):
        for name, policy in policies.items():
            balancer = over(policy, count)
            figures[f"{name} {count}"] = micros(_picking(balancer), _BATCH)
            figures[f"{name} {count} call"] = micros(_calling(balancer), _BATCH)
    new_key = over(Sticky(lambda ctx, request: next(fresh)))
    figures["Sticky, a new key 1000"] = micros(lambda: new_key.pick(CTX, None), 50)
    figures["bare"] = micros(_calling(answering(MANY[0])), _BATCH)
    spent = {name: statistics.median(each) for name, each in in_turn(figures, rounds).items()}
    print("| policy | a pick of 3, us | of 1,000, us | a call adds, of 1,000, us |")
    print("|---|---|---|---|")
    for name in policies:
        adds = spent[f"{name} 1000 call"] - spent["bare"]
        print(f"| {name} | {spent[f'{name} 3']:.2f} | {spent[f'{name} 1000']:.2f} | {adds:.2f} |")
    print(f"| Sticky, a new key | | {spent['Sticky, a new key 1000']:.0f} | |\n")


def evenness() -> None:
    """Tell how far the calls of many threads are apart, of instances that are equals."""
    policies = (RoundRobin(), PeakEwma(), LeastInFlight(2), Weighted(), Random())
    print("| calls over 8 equals, most and least off the mean | no time each | 1 ms each |")
    print("|---|---|---|")
    for policy in policies:
        busy = _off(policy, answering, threads=32, calls=5000)
        print(f"| {policy!r} | {busy} | {_off(policy, waiting, threads=4, calls=2000)} |")
    print()


def waiting(instance: Instance) -> Callable[[Context, object], str]:
    """Return an endpoint that answers after a millisecond, in which other threads run."""

    def wait(ctx: Context, request: object) -> str:
        time.sleep(0.001)
        return instance.host

    return wait


def _off(policy: Policy, factory: Factory, *, threads: int, calls: int) -> str:
    balancer = Balancer(Endpointer(Static(*MANY[:8]), factory), policy)
    told: Counter[str] = Counter()
    for each in _together(balancer, threads, calls):
        told.update(each)
    mean = threads * calls / 8
    most, least = (each / mean - 1 for each in (max(told.values()), min(told.values())))
    return f"{threads} threads: {most:+.1%} {least:+.1%}"


def _together(balancer: Balancer, threads: int, calls: int) -> list[Counter[str]]:
    start, found = threading.Barrier(threads), []

    def run() -> None:
        mine: Counter[str] = Counter()
        start.wait()
        for _ in range(calls):
            mine[balancer(Context(), None)] += 1
        found.append(mine)

    running = [threading.Thread(target=run) for _ in range(threads)]
    for each in running:
        each.start()
    for each in running:
        each.join()
    return found


def sets(rounds: int) -> None:
    """Tell how long it takes to take over a set, with real clients as endpoints."""
    spent = [_sets_once() for _ in range(rounds)]
    print("| a set of 1,000, with a Client for each | ms |\n|---|---|")
    for name in spent[0]:
        print(f"| {name} | {statistics.median(each[name] for each in spent):.2f} |")


def _sets_once() -> dict[str, float]:
    """Return the milliseconds of each step, in their order."""
    told = Told()
    balancer = Balancer(
        Endpointer(told, lambda each: Client("POST", f"http://{each.address}/add", returns=int))
    )
    balancer.status()  # it listens
    some, half = MANY[:990] + OTHERS[:10], MANY[:500] + OTHERS[:500]
    spent = {
        "the first": _spent(lambda: told.tell(Snapshot(MANY))),
        "the pick after it": _spent(lambda: balancer.pick(CTX, None)),
        "10 of them changed": _spent(lambda: told.tell(Snapshot(some))),
        "half of them changed": _spent(lambda: told.tell(Snapshot(half))),
        "half of them changed, some called before": _spent(lambda: told.tell(Snapshot(OTHERS))),
    }
    balancer.close()
    return spent


def _spent(act: Callable[[], object]) -> float:
    began = time.thread_time()
    act()
    return (time.thread_time() - began) * 1e3


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=41)
    rounds = parser.parse_args().rounds
    gc.freeze()
    print(f"CPython {platform.python_version()}, {rounds} rounds\n")
    picks(rounds)
    evenness()
    sets(rounds)


if __name__ == "__main__":
    main()
