"""Token buckets: the generic cell rate algorithm (GCRA), one float a key.

The float is the theoretical arrival time (TAT): when the bucket will be full
again. It counts in seconds of CLOCK_MONOTONIC since the arena's epoch, so an
idle key's TAT is past, its cell is free, and nothing is lost with it. The
algorithm is the virtual scheduling of ITU-T I.371.
"""

from __future__ import annotations

import itertools
import mmap
from collections.abc import Callable, Iterator
from typing import TypeAlias

from falconkit.arena.cells import Cells
from falconkit.arena.guesses import Which, room
from falconkit.arena.ledger import Ledger, Spot
from falconkit.arena.lock import SPINS, Lock
from falconkit.clock import Clock

# PERF: each saves its key some 8 us a call. All dropped at once would be a pause of 1.2 ms.
_HOT = 4096

_Entry: TypeAlias = tuple[
    Lock,
    Iterator[int],
    Callable[[], object],
    mmap.mmap,
    slice,
    bytes,
    "memoryview[float]",
    int,
    float,
    float,
]


class Buckets:
    """Buckets by key, exact across the processes that share the arena.

    >>> from falconkit.arena import Arena
    >>> from falconkit.testing import ManualClock
    >>> clock = ManualClock()
    >>> buckets = Arena(clock=clock, directory=None).buckets()
    >>> [buckets.take("ann", 0.5, 2) for _ in range(3)]
    [(True, 0.5), (True, 1.0), (False, 1.0)]
    >>> clock.advance(0.5)
    >>> buckets.take("ann", 0.5, 2)
    (True, 1.0)
    """

    __slots__ = ("_degraded", "_hot", "_ledger", "_now", "_open")

    def __init__(
        self,
        open_cells: Callable[[], Cells],
        *,
        clock: Clock,
        degraded: Callable[[str, str], None],
    ) -> None:
        self._open = open_cells
        self._now = clock.monotonic
        self._degraded = degraded
        self.forget()

    def forget(self) -> None:
        """Open anew on the next use: after a fork, or when the arena was closed."""
        self._ledger: Ledger | None = None
        self._hot: dict[Which, _Entry] = {}

    def take(self, key: str, interval: float, burst: int, cost: int = 1) -> tuple[bool, float]:
        """Take ``cost`` tokens, or none when there are not so many.

        When another process keeps the lock for more than 5 ms (it is stopped,
        say), the decision is made from what can be seen, and paid back to the
        shared bucket as soon as the lock can be had again.

        Args:
            key: Whose bucket: any string. Another interval or burst is another bucket.
            interval: Seconds a token.
            burst: Tokens that a full bucket holds.
            cost: Tokens to take.

        Returns:
            Whether they were taken, and the seconds until the bucket is full after
            that: ``inf`` for a cost above the burst, which no wait makes possible.

        Raises:
            ValueError: An argument that cannot be.
        """
        entry = self._hot.get((key, interval, burst))
        if entry is None or not 0 <= cost <= burst:
            return self._settle(key, interval, burst, cost)
        # PERF: 1.0 us, of which the mutex is 0.35. The digest is compared as 16 bytes: as two
        # numbers it takes 0.06 more. Between the head of the loop and the unlocking nothing
        # is called, so the GIL stays: see lock.py.
        lock, tries, unlock, memory, place, digest, floats, at, most, epoch = entry
        need = cost * interval
        now = self._now() - epoch
        spins = 0
        for failed in tries:
            if failed:
                lock.mend(failed)
                spins += 1
                if spins < SPINS:
                    continue
                break
            if lock.shut:
                break
            tat = floats[at]
            level = tat - now
            # A stranger's cell, or damage; or `now` is old, since we lost the GIL
            # after reading it: looked at again with the lock held and a fresh `now`.
            if memory[place] != digest or not level <= most:
                unlock()
                break
            if level > 0.0:
                after = level + need
                if after > most:
                    unlock()
                    return False, level
                floats[at] = tat + need
            else:
                after = need
                floats[at] = now + need
            unlock()
            return True, after
        return self._settle(key, interval, burst, cost)

    def peek(self, key: str, interval: float, burst: int) -> float:
        """Return the seconds until the bucket of ``key`` is full, taking nothing."""
        return self._opened().level((key, interval, burst))

    def clear(self, key: str, interval: float, burst: int) -> bool:
        """Fill the bucket of ``key``; returns False when its lock could not be had."""
        return self._opened().fill((key, interval, burst))

    def reset(self) -> bool:
        """Fill every bucket; returns False when a lock could not be had."""
        ledger = self._opened()
        ledger.guesses.forgive(None)
        return ledger.cells.wipe()

    def settle(self) -> None:
        """Pay what is owed to shared buckets; before the process ends."""
        ledger = self._ledger
        if ledger is not None:
            for which in ledger.guesses.owed():
                ledger.take(which, 0)

    def _opened(self) -> Ledger:
        ledger = self._ledger
        if ledger is None:
            ledger = self._ledger = Ledger(self._open(), self._remember, self._degraded)
        return ledger

    def _settle(self, key: str, interval: float, burst: int, cost: int) -> tuple[bool, float]:
        which = (key, interval, burst)
        ledger = self._opened()
        decided = ledger.take(which, cost)
        if which in ledger.guesses:
            # What is owed is paid in the long way.
            self._hot.pop(which, None)
        return decided

    def _remember(self, which: Which, cells: Cells, lock: Lock, digest: bytes, spot: Spot) -> None:
        segment, cell = spot
        hot = self._hot
        if len(hot) >= _HOT:
            _drop_first(hot)
        hot[which] = (
            *(lock, lock.tries, lock.unlock),
            *(segment.memory, segment.digest(cell), digest),
            *(segment.floats, segment.at(cell), room(which[1], which[2]), cells.epoch),
        )


def _drop_first(hot: dict[Which, _Entry]) -> None:
    # PERF: 64 of them, for the first of a dict is found behind the places of all that were
    # dropped before it: 3 us, which one at a time would be each new key's.
    for which in list(itertools.islice(hot, 64)):
        hot.pop(which, None)
