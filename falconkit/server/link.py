"""What a master and one of its workers tell each other, through memory that they share."""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import IO, Any

SERVING = 0
RETIRED = 1
"""Its successor is up, or others go on without it: go, nobody has to notice."""
STOPPED = 2
"""The whole server ends: say so to the router and take calls for a while."""

_FATE, _BOOTED = 0, 1
_MOST = 65_536


class Link:
    """Made by the master before it forks a worker; both have it afterwards.

    A signal says too little (SIGTERM is a reload as well as the end) and may be
    lost while a worker starts, so the master leaves word here first.

    >>> link = Link()
    >>> link.tell(RETIRED)
    >>> link.tell(STOPPED)
    >>> link.fate == RETIRED
    True
    >>> link.close()
    """

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 2)
        # faulthandler writes here: it needs a file, and its lines are no log lines.
        self.dump: IO[bytes] = tempfile.TemporaryFile(prefix="falconkit-")  # noqa: SIM115

    @property
    def fate(self) -> int:
        """What is to become of the worker: SERVING, RETIRED or STOPPED."""
        return self._memory[_FATE]

    def tell(self, fate: int) -> None:
        """Decide the worker's fate; what was decided before holds."""
        if self._memory[_FATE] == SERVING:
            self._memory[_FATE] = fate

    @property
    def booted(self) -> bool:
        """Whether the worker has loaded the app and takes calls."""
        return bool(self._memory[_BOOTED])

    def boot(self) -> None:
        """Say that the worker takes calls now."""
        self._memory[_BOOTED] = 1

    def last_words(self) -> str:
        """Return the stacks that a dying worker left, "" if it left none."""
        return os.pread(self.dump.fileno(), _MOST, 0).decode("utf-8", "replace")

    def close(self) -> None:
        """Give up this process' end."""
        self.dump.close()


def link_of(worker: Any) -> Link | None:
    """Return a worker's link, None when our hooks are not in use."""
    link = getattr(worker, "falconkit", None)
    return link if isinstance(link, Link) else None
