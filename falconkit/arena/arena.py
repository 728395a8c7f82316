"""State that the workers of one host share, without a server to ask."""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path

from falconkit.arena import rundir
from falconkit.arena.buckets import Buckets
from falconkit.arena.cells import Cells
from falconkit.arena.journal import Journal
from falconkit.arena.place import Place
from falconkit.arena.record import COUNTERS
from falconkit.arena.records import Records
from falconkit.arena.slots import Slots
from falconkit.arena.table import Table
from falconkit.arena.troubles import Troubles
from falconkit.clock import Clock, system_clock
from falconkit.errors import ConfigurationError
from falconkit.events import Events

# At 1.2 kB for the widest that falconkit has, 20 MB.
_MOST_RECORDS = 16_384


class Arena:
    """Counters, buckets and tables that every worker of a server sees alike.

    Nothing is opened until it is used, and each process opens it for itself: an
    arena may be made before a server forks its workers. Threads may share it.
    When the shared folder cannot be used, an arena is private to its process:
    it says so once, and works.

    Attributes:
        events: Hears what the arena did less well than it should (`ArenaDegraded`).

    >>> arena = Arena(directory=None)
    >>> arena.buckets().take("ann", interval=60.0, burst=1)
    (True, 60.0)
    >>> arena.close()
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None = None,
        *,
        clock: Clock = system_clock,
        events: Events | None = None,
        max_slots: int = 256,
        among: Iterable[Path] | None = None,
    ) -> None:
        """Open nothing yet.

        Args:
            directory: The run directory. When None, it is the one that ``FALCONKIT_RUN``
                names; else that of our parent process, when that is a server; else
                the arena is private to each process.
            clock: Whose seconds count in buckets and tables.
            events: Who is told; a new `Events` when None.
            max_slots: How many workers may count in one place; more count privately.
            among: Where the parent's directory may be, see `rundir.places`.

        Raises:
            ConfigurationError: The folder that was named cannot be used.
        """
        self._directory = None if directory is None else Path(directory)
        self._among = None if among is None else tuple(among)
        self._clock = clock
        self._max_slots = max_slots
        self.events = Events() if events is None else events
        self._troubles = Troubles(self.events)
        self._slots: dict[str, Slots] = {}
        self._tables: dict[str, Table] = {}
        self._buckets: dict[str, Buckets] = {}
        self._records: dict[str, Records] = {}
        self._journals: dict[str, Journal] = {}
        self._shared: dict[str, Cells] = {}
        self._lock = threading.Lock()
        self._place: Place | None = None
        self.check()
        _after_fork(self)

    def check(self) -> None:
        """Say what is wrong with the folder that was asked for; nothing is made.

        Raises:
            ConfigurationError: It cannot be used. The message names what to change.
        """
        if self._directory is not None:
            rundir.check(self._directory, variable="directory")
        elif os.environ.get(rundir.VARIABLE):
            rundir.check(os.environ[rundir.VARIABLE])

    def slots(self, name: str) -> Slots:
        """Return the counters, histograms and gauges of that name: always the same object."""
        with self._lock:
            if name not in self._slots:
                self._slots[name] = Slots(
                    self._opened,
                    _file_name(name),
                    degraded=self._troubles.add,
                    max_slots=self._max_slots,
                )
            return self._slots[name]

    def table(self, name: str, width: int) -> Table:
        """Return the table of that name: always the same object.

        Args:
            name: Its name, part of file names.
            width: How many floats a cell has.

        Raises:
            ConfigurationError: It is in use with another width.
        """
        with self._lock:
            table = self._tables.get(name)
            if table is None:
                open_cells = functools.partial(self._cells, f"{_file_name(name)}.table", width + 1)
                table = self._tables[name] = Table(
                    open_cells, width, clock=self._clock, degraded=self._troubles.add
                )
        if table.width != width or width < 1:
            raise ConfigurationError(
                f"table {name!r} of width {width} has width {table.width} already, "
                "and no width is below 1: give one of them another name"
            )
        return table

    def buckets(self, name: str = "buckets") -> Buckets:
        """Return the token buckets of that name: always the same object."""
        with self._lock:
            if name not in self._buckets:
                open_cells = functools.partial(self._cells, f"{_file_name(name)}.gcra", 1)
                self._buckets[name] = Buckets(
                    open_cells, clock=self._clock, degraded=self._troubles.add
                )
            return self._buckets[name]

    def records(self, name: str, width: int) -> Records:
        """Return the records of that name and width: always the same object.

        Args:
            name: Their name, part of file names.
            width: How many floats a record has, its counters not among them.
        """
        seats = self.slots("seats")
        file = f"{_file_name(name)}{width}.records"
        with self._lock:
            if file not in self._records:
                open_cells = functools.partial(
                    self._cells, file, 1 + width + COUNTERS, max_cells=_MOST_RECORDS
                )
                self._records[file] = Records(open_cells, seats, width, degraded=self._troubles.add)
            return self._records[file]

    def journal(self, name: str, *, entries: int, size: int) -> Journal:
        """Return the journal of that name and shape: always the same object.

        Args:
            name: Its name, part of file names.
            entries: How many messages it keeps.
            size: Bytes of the longest one.
        """
        key = f"{_file_name(name)} {entries} {size}"
        with self._lock:
            if key not in self._journals:
                self._journals[key] = Journal(
                    self._opened, name, entries, size, degraded=self._troubles.add
                )
            return self._journals[key]

    def folder(self) -> Path | None:
        """Return the folder that the host's processes share, None when this one is alone.

        For files that are no memory: who writes one renames a whole draft into place.
        """
        return self._opened().path

    def status(self) -> dict[str, int | float | str | bool]:
        """Return what this process knows of itself, for ``/debug/vars``.

        ``contended``, ``full``, ``damaged`` and ``private`` count how often each
        happened in this process; `ArenaDegraded` says what they are.
        """
        place = self._place
        return {
            "opened": place is not None,
            "private": place is not None and place.path is None,
            "directory": "" if place is None or place.path is None else str(place.path.parent),
            "slots": sum(each.number >= 0 for each in self._slots.values()),
            **self._troubles.counts(),
        }

    def close(self) -> None:
        """Give up this process' slots and the folder. What is used after that opens anew."""
        for buckets in self._buckets.copy().values():
            buckets.settle()
        for records in self._records.copy().values():
            records.settle()
        with self._lock:
            place, self._place = self._place, None
            self._forget()
        if place is not None:
            place.close()

    def _forget(self) -> None:
        parts: list[Slots | Table | Buckets | Records | Journal] = [
            *self._slots.values(),
            *self._tables.values(),
            *self._buckets.values(),
            *self._records.values(),
            *self._journals.values(),
        ]
        for part in parts:
            part.forget()
        self._shared.clear()

    def _forked(self) -> None:
        # Another thread may have held it when the process was forked.
        self._lock = threading.Lock()
        place, self._place = self._place, None
        self._forget()
        self._troubles.forget()
        if place is not None:
            place.abandon()

    def _opened(self) -> Place:
        place = self._place
        if place is not None:
            return place
        with self._lock:
            place = self._place
            why = ""
            if place is None:
                place, why = self._open()
                self._place = place
        if why:
            self._troubles.add("private", why)
        return place

    def _open(self) -> tuple[Place, str]:
        path, why = (
            rundir.find(among=self._among) if self._directory is None else (self._directory, "")
        )
        if path is not None:
            given = self._directory is not None or bool(os.environ.get(rundir.VARIABLE))
            try:
                return Place(path, clock=self._clock, given=given), ""
            except OSError as error:
                why = f"{path} cannot be used: {error}; {rundir.VARIABLE} names another place"
        return Place(None, clock=self._clock), why

    def _cells(self, name: str, width: int, max_cells: int = 1 << 21) -> Cells:
        place = self._opened()
        why = ""
        # One for all threads: only then do its locks keep them apart.
        with self._lock:
            if name not in self._shared:
                try:
                    self._shared[name] = Cells(
                        place, name, width, clock=self._clock, max_cells=max_cells
                    )
                except OSError as error:
                    why = f"{name} is kept by each process for itself: {error}"
                    place = Place(None, clock=self._clock)
                    self._shared[name] = Cells(
                        place, name, width, clock=self._clock, max_cells=max_cells
                    )
            cells = self._shared[name]
        if why:
            self._troubles.add("private", why)
        return cells


def _file_name(name: str) -> str:
    if not name or not all(c.isalnum() or c in "-_" for c in name) or not name.isascii():
        raise ConfigurationError(f"{name!r} is part of file names: use letters, digits, - and _")
    return name


def _after_fork(arena: Arena) -> None:
    known: Callable[[], Arena | None] = weakref.ref(arena)

    def forget() -> None:
        arena = known()
        if arena is not None:
            arena._forked()

    os.register_at_fork(after_in_child=forget)
