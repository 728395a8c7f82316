"""Instances from a file that is read again and again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from falconkit.errors import ConfigurationError
from falconkit.sd.discovery import Discovery, Entries, Rounds
from falconkit.sd.instance import Instance, Unusable, read_address
from falconkit.sd.stop import Stop

_LARGEST = 4 << 20
_FIELDS = {"id": str, "zone": str, "weight": float, "priority": int}


def from_file(path: str | os.PathLike[str], *, every: float = 1.0, most: int = 10_000) -> Discovery:
    """Return an `Instancer` over a file with one instance a line.

    A line is ``host:port``, then ``zone=``, ``weight=``, ``priority=``, ``id=`` as
    wanted; ``#`` begins a comment. Whoever changes it writes a new file and
    renames it to this one: half a file would be half the set.

    >>> from falconkit.sd import Snapshot
    >>> _ = Path("counter.txt").write_text("10.0.0.1:8000 zone=a weight=2  # the big one")
    >>> next(_rounds(Path("counter.txt"), 1.0)(Stop()))
    [Instance(host='10.0.0.1', port=8000, id='', zone='a', weight=2.0, ...)]

    Args:
        path: The file, up to 4 MiB.
        every: Seconds between two readings.
        most: How many instances it may have.

    Raises:
        ConfigurationError: ``every`` cannot be used.
    """
    if not 0.01 <= every <= 3600:
        raise ConfigurationError(f"a file is read every 0.01 to 3600 s, got every={every!r}")
    return Discovery(_rounds(Path(path), every), name=f"file {path}", most=most, retry=every)


def _rounds(path: Path, every: float) -> Rounds:
    def rounds(stop: Stop) -> Iterator[Entries]:
        before = None
        while not stop:
            # The content and not the time of its change, which two changes may share.
            with path.open("rb") as file:
                content = file.read(_LARGEST + 1)
            if len(content) > _LARGEST:
                raise ValueError(f"{path} has more than {_LARGEST} bytes")
            if content != before:
                before = content
                yield _entries(content.decode())
            stop.wait(every)

    return rounds


def _entries(text: str) -> list[Instance | Unusable]:
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    return [_entry(words) for words in lines if words]


def _entry(words: list[str]) -> Instance | Unusable:
    more: dict[str, object] = {}
    for word in words[1:]:
        name, _, value = word.partition("=")
        try:
            more[name] = _FIELDS[name](value)
        except (KeyError, ValueError):
            return Unusable(" ".join(words)[:80], f"{word!r} is none of {', '.join(_FIELDS)}=")
    return read_address(words[0], **more)
