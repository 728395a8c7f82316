"""The laws of instancers, as a suite that anybody's registry can be put through."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Any, Protocol

from falconkit.sd.instancer import Instancer, Snapshot
from falconkit.testing.wait import wait_until

PATIENCE = 60.0
"""Seconds within which a registry on a busy machine tells a change."""

ONE, TWO, THREE = "127.0.0.1:8000", "127.0.0.2:8000", "127.0.0.3:8000"
"""The instances of the laws: of one port, since that is all that a name's addresses can tell."""

BENCH_THREAD = "bench-"
"""How the names of threads begin that are the bench's own."""


class Bench(Protocol):
    """A registry for the laws, with one service in it that has no instance yet."""

    def make(self) -> Instancer:
        """Make an instancer of that service."""

    def put(self, *addresses: str) -> None:
        """Make these the service's instances, and no others; the same ones again are no change."""

    def stop(self) -> None:
        """Make the registry answer nobody."""

    def start(self) -> None:
        """Make it answer again, with the instances that it had."""

    def close(self) -> None:
        """Free what the bench has open."""


class HushedBench(Bench, Protocol):
    """A bench whose registry can also fall silent, for `SILENCE_LAWS`."""

    def hush(self) -> threading.Event:
        """Make the registry take what comes and say nothing; set once something has come."""


Law = Callable[[Any], None]
"""Is given a bench of its own."""


class Ear:
    """A listener that remembers.

    Attributes:
        heard: The snapshots, in order.
    """

    def __init__(self) -> None:
        self.heard: list[Snapshot] = []

    def __call__(self, snapshot: Snapshot) -> None:
        """Hear one."""
        self.heard.append(snapshot)

    def sets(self) -> list[tuple[str, ...]]:
        """Return the addresses of each snapshot, those of failures left out."""
        return [addresses(each) for each in self.heard if each.failure is None]

    def wait_for(self, *wanted: str) -> None:
        """Wait until the last snapshot has just these addresses, and no failure."""
        try:
            wait_until(
                lambda: (
                    self.sets() and self.heard[-1].failure is None and self.sets()[-1] == wanted
                ),
                PATIENCE,
                what=f"the set {wanted}",
            )
        except AssertionError as late:
            raise AssertionError(f"{late}; heard {self.heard[-3:]}") from None


def addresses(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the addresses of a snapshot's instances."""
    return tuple(each.address for each in snapshot.instances)


def nothing_runs_before_it_is_listened_to(bench: Bench) -> None:
    """Making one starts no thread: it may be made before a fork."""
    before = _threads()
    instancer = bench.make()
    _expect(_threads() - before, set(), "threads of an instancer nobody listens to")
    instancer.close()


def the_first_snapshot_is_the_whole_set(bench: Bench) -> None:
    """What is there already is told at once, in order."""
    bench.put(TWO, ONE)
    ear, instancer = _listening(bench)
    ear.wait_for(ONE, TWO)
    _expect(ear.sets()[0], (ONE, TWO), "the first snapshot")
    instancer.close()


def additions_and_removals_are_told(bench: Bench) -> None:
    """Each change is told, as the whole set."""
    bench.put(ONE)
    ear, instancer = _listening(bench)
    ear.wait_for(ONE)
    for wanted in ((ONE, TWO), (ONE, TWO, THREE), (TWO,), (ONE, THREE)):
        bench.put(*wanted)
        ear.wait_for(*wanted)
    instancer.close()


def an_empty_answer_is_an_answer(bench: Bench) -> None:
    """A service without instances is told as such, and is no failure."""
    ear, instancer = _listening(bench)
    wait_until(lambda: ear.heard, PATIENCE, what="an answer about a service with no instances")
    _expect((addresses(ear.heard[0]), ear.heard[0].failure), ((), None), "an empty answer")
    bench.put(ONE)
    ear.wait_for(ONE)
    bench.put()
    ear.wait_for()
    instancer.close()


def no_change_is_not_told(bench: Bench) -> None:
    """The same set again is silence."""
    bench.put(ONE, TWO)
    ear, instancer = _listening(bench)
    ear.wait_for(ONE, TWO)
    for _ in range(3):
        bench.put(TWO, ONE)
    bench.put(ONE)
    ear.wait_for(ONE)
    told = ear.sets()
    _expect([one for one, after in pairwise(told) if one == after], [], "repeats")
    instancer.close()


def an_outage_is_told_once_and_keeps_the_set(bench: Bench) -> None:
    """While the registry is away the last set stays; when it is back changes arrive."""
    bench.put(ONE, TWO)
    ear, instancer = _listening(bench)
    ear.wait_for(ONE, TWO)
    bench.stop()
    wait_until(lambda: ear.heard[-1].failure, PATIENCE, what="the outage")
    _expect(addresses(ear.heard[-1]), (ONE, TWO), "the set in an outage")
    bench.start()
    wait_until(lambda: not ear.heard[-1].failure, PATIENCE, what="the end of the outage")
    failing = [each.failure is not None for each in ear.heard]
    _expect((True, True) in pairwise(failing), False, "one outage told twice")
    bench.put(TWO, THREE)
    ear.wait_for(TWO, THREE)
    instancer.close()


def a_registry_that_was_never_there_is_a_failure(bench: Bench) -> None:
    """It raises nowhere, and is found once it comes."""
    bench.put(ONE)
    bench.stop()
    ear, instancer = _listening(bench)
    wait_until(lambda: ear.heard, PATIENCE, what="the failure")
    _expect((addresses(ear.heard[0]), bool(ear.heard[0].failure)), ((), True), "the first snapshot")
    bench.start()
    ear.wait_for(ONE)
    instancer.close()


def all_listeners_hear_and_a_late_one_at_once(bench: Bench) -> None:
    """Listeners do not depend on each other; a forgotten one hears no more."""
    bench.put(ONE)

    def broken(snapshot: Snapshot) -> None:
        raise RuntimeError("this listener is broken, as the law of listeners wants it")

    instancer = bench.make()
    instancer.listen(broken)
    ear, late, gone = Ear(), Ear(), Ear()
    instancer.listen(ear)
    instancer.listen(gone)
    ear.wait_for(ONE)
    gone.wait_for(ONE)
    instancer.listen(late)
    _expect([addresses(each) for each in late.heard], [(ONE,)], "what a late listener hears")
    instancer.forget(gone)
    bench.put(TWO)
    ear.wait_for(TWO)
    late.wait_for(TWO)
    _expect(gone.sets(), [(ONE,)], "what a forgotten listener has heard")
    instancer.close()


def close_ends_its_wait_and_its_thread(bench: Bench) -> None:
    """Whatever it waits in, `close` ends it; no thread is left, and nothing is told after it."""
    bench.put(ONE)
    before = _threads()
    ear, instancer = _listening(bench)
    ear.wait_for(ONE)
    instancer.close()
    _expect(_threads() - before, set(), "threads after close")
    heard = len(ear.heard)
    bench.put(TWO)
    instancer.close()
    _expect(len(ear.heard), heard, "snapshots told by the end, and after it")


def close_in_an_outage_ends_it_too(bench: Bench) -> None:
    """The wait until the next try is a wait like any other."""
    before = _threads()
    bench.stop()
    ear, instancer = _listening(bench)
    wait_until(lambda: ear.heard, PATIENCE, what="the failure")
    instancer.close()
    _expect(_threads() - before, set(), "threads after close")
    bench.start()


def close_ends_its_wait_for_a_registry_that_says_nothing(bench: HushedBench) -> None:
    """A registry that takes a connection and does not answer holds up nobody's end."""
    before = _threads()
    came = bench.hush()
    _, instancer = _listening(bench)
    wait_until(came.is_set, PATIENCE, what="a question to the silent registry")
    instancer.close()
    _expect(_threads() - before, set(), "threads after close")


OUTAGE_LAWS: tuple[Law, ...] = (
    an_outage_is_told_once_and_keeps_the_set,
    a_registry_that_was_never_there_is_a_failure,
    close_in_an_outage_ends_it_too,
)
"""What is kept while the registry is away."""

SILENCE_LAWS: tuple[Law, ...] = (close_ends_its_wait_for_a_registry_that_says_nothing,)
"""What is kept while the registry is there and silent; they need a `HushedBench`."""

LAWS: tuple[Law, ...] = (
    nothing_runs_before_it_is_listened_to,
    the_first_snapshot_is_the_whole_set,
    additions_and_removals_are_told,
    an_empty_answer_is_an_answer,
    no_change_is_not_told,
    all_listeners_hear_and_a_late_one_at_once,
    close_ends_its_wait_and_its_thread,
    *OUTAGE_LAWS,
)
"""What every instancer of a registry keeps."""


def conform_instancer(bench: Callable[[], Bench], laws: Iterable[Law] = LAWS) -> None:
    """Put an instancer through every law, each on a bench of its own.

    Args:
        bench: Makes a bench.
        laws: Which.

    Raises:
        AssertionError: A law is broken; the message says which, and how.
    """
    for law in laws:
        made = _Closing(bench())
        try:
            law(made)
        except AssertionError as failure:
            raise AssertionError(f"{law.__name__}: {failure}") from None
        finally:
            made.close()


class _Closing:
    """A bench that closes what it made, also when a law was broken half-way."""

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._made: list[Instancer] = []
        self.put, self.stop, self.start = bench.put, bench.stop, bench.start
        self.hush = getattr(bench, "hush", None)

    def make(self) -> Instancer:
        self._made.append(self._bench.make())
        return self._made[-1]

    def close(self) -> None:
        for each in self._made:
            each.close()
        self._bench.close()


def _listening(bench: Bench) -> tuple[Ear, Instancer]:
    ear, instancer = Ear(), bench.make()
    instancer.listen(ear)
    return ear, instancer


def _threads() -> set[threading.Thread]:
    return {each for each in threading.enumerate() if not each.name.startswith(BENCH_THREAD)}


def _expect(value: object, wanted: object, what: str) -> None:
    if value != wanted:
        raise AssertionError(f"{what}: expected {wanted!r}, got {value!r}")
