"""What one process of a host has found out, for the others to read."""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from falconkit.clock import Clock
from falconkit.sd.election import Election

_LARGEST = 4 << 20
_BELIEVED = 3
"""Times ``every`` for which a notice is believed."""


class Noticeboard:
    """A file in the run directory that the elected process writes.

    Attributes:
        every: Seconds in which it is written, and read.
    """

    def __init__(self, election: Election, name: str, every: float, clock: Clock) -> None:
        self.every = every
        self._election = election
        self._name = f"sd-{hashlib.blake2b(name.encode(), digest_size=8).hexdigest()}.json"
        self._clock = clock

    def mine(self) -> bool:
        """Return whether this process is the one that writes."""
        return self._election.join() and self._election.leads()

    def write(self, words: frozenset[str]) -> None:
        """Write, at once for whoever reads."""
        path = self._path()
        if path is None:
            return
        notice = {"at": self._clock.monotonic(), "words": sorted(words)}
        new = path.with_suffix(".new")
        new.write_text(json.dumps(notice))
        os.replace(new, path)

    def read(self) -> frozenset[str]:
        """Return what was written lately; nothing when there is no such thing."""
        path = self._path()
        with suppress(OSError, ValueError, KeyError, TypeError):
            if path is not None:
                with path.open("rb") as file:
                    notice = json.loads(file.read(_LARGEST))
                if self._clock.monotonic() - notice["at"] <= _BELIEVED * self.every:
                    return frozenset(map(str, notice["words"]))
        return frozenset()

    def close(self) -> None:
        """Leave it to the others."""
        self._election.leave(lambda: None)

    def _path(self) -> Path | None:
        directory = self._election.directory
        return None if directory is None else directory / self._name
