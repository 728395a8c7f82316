"""One process of a host does the work of all: who, and what if it dies."""

from __future__ import annotations

import hashlib
import os
import weakref
from collections.abc import Callable
from pathlib import Path

from falconkit.arena import rundir
from falconkit.arena.lock import SHARE, TAKE, UNLOCK, flock_call
from falconkit.arena.owner import enter
from falconkit.clock import Clock, system_clock

_PATIENCE = 1.0
"""Seconds that a leaving process waits for another that is leaving."""


class Election:
    """Elects one of the processes of a host that share a run directory.

    A process leads while it holds a file's lock. The kernel gives the lock up when the
    process dies, however it dies, and the next one that asks has it. Without a run
    directory a process is alone, and leads.

    >>> election = Election("example", directory="run")
    >>> election.join(), election.leads()
    (True, True)
    >>> election.leave(lambda: print("the last one"))
    the last one

    Attributes:
        directory: The run directory, once it is known; None for a process that is alone.

    Args:
        name: What is elected for; processes of one name are candidates.
        directory: The run directory; the process's own when None.
        clock: For the bound of waits. This time is real.
    """

    def __init__(
        self,
        name: str,
        *,
        directory: str | os.PathLike[str] | None = None,
        clock: Clock = system_clock,
    ) -> None:
        self._name = hashlib.blake2b(name.encode(), digest_size=8).hexdigest()
        self.directory: Path | None = None
        self._given = directory
        self._clock = clock
        self._flock, _ = flock_call()
        self._fds: dict[str, int] = {}
        self._alone = False
        self._leads = False
        ours = weakref.WeakMethod(self._forget)
        os.register_at_fork(after_in_child=lambda: (forget := ours()) and forget())

    def join(self) -> bool:
        """Be a candidate; returns False while the last process of a time before is leaving.

        Raises:
            OSError: The run directory cannot be used.
        """
        if self._alone or self._fds:
            return True
        directory = self.directory = self._found()
        if directory is None:
            self._alone = True
            return True
        try:
            self._fds["owner"] = enter(directory, given=True)
            for file in ("gate", "here", "lead"):
                path = directory / f"sd-{self._name}.{file}"
                self._fds[file] = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            joined = self._flock(self._fds["here"], SHARE) == 0
        except BaseException:
            self._forget()
            raise
        if not joined:
            self._forget()
        return joined

    def leads(self) -> bool:
        """Return whether this process leads, which it does from now on if nobody else does."""
        if not self._leads:
            self._leads = self._alone or self._flock(self._fds["lead"], TAKE) == 0
        return self._leads

    def leave(self, last: Callable[[], None]) -> None:
        """Be no candidate any more; ``last`` is called if no other process is one.

        Nobody can join meanwhile, so that what ``last`` undoes is not done anew before.
        """
        if self._alone:
            self._forget()
            last()
            return
        if not self._fds:
            return
        try:
            # One leaves at a time, lest two that leave together each see the other.
            end = self._clock.monotonic() + _PATIENCE
            while self._flock(self._fds["gate"], TAKE) != 0 and self._clock.monotonic() < end:
                self._clock.sleep(0.005)
            self._flock(self._fds["here"], UNLOCK)
            alone = self._flock(self._fds["here"], TAKE) == 0
            if alone:
                last()
        finally:
            # By hand: a child that was forked just now may still have the files open, too.
            for fd in self._fds.values():
                self._flock(fd, UNLOCK)
            self._forget()

    def _found(self) -> Path | None:
        if self._given is not None:
            return Path(self._given)
        directory, _ = rundir.find()
        return directory

    def _forget(self) -> None:
        """Close the files: the locks go with them, unless a parent has them too."""
        self._alone = self._leads = False
        while self._fds:
            os.close(self._fds.popitem()[1])
