"""Active health checks: one process of a host asks each instance how it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from os import PathLike
from random import Random

from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError
from falconkit.sd.checks import Checks, Probe, Rules
from falconkit.sd.discovery import Discovery
from falconkit.sd.election import Election
from falconkit.sd.instance import Instance
from falconkit.sd.instancer import Instancer, Snapshot
from falconkit.sd.noticeboard import Noticeboard
from falconkit.sd.stop import Stop


def checked(
    instancer: Instancer,
    probe: Probe,
    *,
    service: str,
    every: float = 10.0,
    ill_after: int = 3,
    well_after: int = 2,
    threads: int = 8,
    directory: str | PathLike[str] | None = None,
    clock: Clock = system_clock,
    rng: Random | None = None,
) -> Discovery:
    """Return an `Instancer` that marks which of another's instances are healthy.

    The workers of a host elect one that asks; the others read what it found, from a
    file in the run directory. One that is not well is left out by a balancer, until so many
    are not that the fault may be in the asking. Checks go on while discovery fails.

    >>> from falconkit.sd.static import Static
    >>> checked(Static("10.0.0.1:80"), lambda instance: None, service="counter", directory="run")
    Discovery('checked counter')

    Args:
        instancer: Says which instances there are; closed with this one.
        probe: Asks an instance, and raises when it is not well. It bounds its own time.
        service: The service; what one worker finds goes to all that check it.
        every: Seconds between two questions to one instance, by a tenth at random.
        ill_after: Bad answers in a row after which an instance is not healthy.
        well_after: Good ones in a row after which it is again.
        threads: How many are asked at once.
        directory: The run directory; found when None.
        clock: Whose seconds these are.
        rng: Chance, for tests.

    Raises:
        ConfigurationError: A value cannot be used.
    """
    if not 0.01 <= every <= 3600 or min(ill_after, well_after, threads) < 1:
        raise ConfigurationError(
            "every is 0.01 to 3600 s, ill_after, well_after and threads 1 or more, got "
            f"{every!r}, {ill_after!r}, {well_after!r}, {threads!r}"
        )
    rules = Rules(every, ill_after, well_after, threads)
    chance = rng or Random()

    def rounds(stop: Stop) -> Iterator[Snapshot]:
        latest: list[Snapshot] = []
        news = threading.Event()

        def hear(snapshot: Snapshot) -> None:
            latest[:] = [snapshot]
            news.set()

        election = Election(f"health {service}", directory=directory)
        board = Noticeboard(election, f"{service}.health", every, clock)
        checks = Checks(probe, rules, clock=clock, rng=chance)
        instancer.listen(hear)
        try:
            with stop.waking(news.set):
                news.wait()
                while not stop:
                    news.clear()
                    snapshot = latest[0]
                    yield _marked(snapshot, checks.ill)
                    due = _look(checks, board, snapshot.instances)
                    yield _marked(snapshot, checks.ill)
                    news.wait(due)
        finally:
            instancer.forget(hear)
            checks.close()
            board.close()

    return Discovery(rounds, name=f"checked {service}", closes=instancer, retry=1.0)


def _look(checks: Checks, board: Noticeboard, instances: tuple[Instance, ...]) -> float:
    """Ask, or read what another has found; returns the seconds until the next time."""
    if board.mine():
        due = checks.run(instances)
        board.write(checks.ill)
        return due
    checks.ill = board.read()
    return board.every


def _marked(snapshot: Snapshot, ill: frozenset[str]) -> Snapshot:
    mark: Callable[[Instance], Instance] = lambda each: (  # noqa: E731
        replace(each, healthy=False) if each.address in ill else each
    )
    return Snapshot(
        tuple(map(mark, snapshot.instances)) if ill else snapshot.instances, snapshot.failure
    )
