"""Who uses a run directory: everybody who does holds a shared lock on its file ``owner``.

The kernel drops the locks of a killed process, so a folder is unused exactly
when its file can be locked by one alone.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from falconkit.arena import host
from falconkit.arena.lock import SHARE, TAKE, flock_call
from falconkit.arena.mutex import mutex_kind
from falconkit.clock import Clock, system_clock

_MARK = "owner"
_TRIES = 1000


def generation_name() -> str:
    """Return the name of the arena's own folder in the run directory, of this boot."""
    # Processes that lock in different ways must not meet in one folder.
    return f"arena-{host.generation(f'1 {mutex_kind()}')}"


def verify(path: Path, *, given: bool) -> None:
    """Refuse a folder in which others could write, or that somebody else laid out for us.

    Args:
        path: The folder.
        given: True when the user named it; then root may use another user's.

    Raises:
        OSError: What is wrong with it.
    """
    found = os.lstat(path)
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(f"{path} is not a folder")
    us = os.geteuid()
    if found.st_uid != us and not (given and us == 0):
        raise PermissionError(f"{path} belongs to user {found.st_uid}, not to {us}")
    if found.st_mode & 0o022:
        raise PermissionError(
            f"{path} may be written by others (mode {stat.S_IMODE(found.st_mode):o}): chmod 700"
        )


def enter(path: Path, *, given: bool = False, clock: Clock = system_clock) -> int:
    """Make the folder if it is not there, mark it as used, and return the mark's open file.

    Whoever is alone in it removes what another boot left there.

    Raises:
        OSError: It cannot be used.
    """
    flock, _ = flock_call()
    for _ in range(_TRIES):
        path.mkdir(mode=0o700, exist_ok=True)
        verify(path, given=given)
        fd = _open_mark(path)
        # Alone only when there is something to remove: two workers that first
        # open the folder together must not keep each other out.
        if _other_generations(path) and flock(fd, TAKE) == 0:
            for old in _other_generations(path):
                shutil.rmtree(old, ignore_errors=True)
        if flock(fd, SHARE) == 0 and _is_current(fd, path):
            return fd
        os.close(fd)  # swept between our two steps, or being swept: once more
        clock.sleep(0.001)
    raise OSError(f"{path} is being removed by another process")


def remove_unused(path: Path, *, given: bool = False) -> bool:
    """Remove the folder if nobody uses it; returns whether it is gone."""
    try:
        verify(path, given=given)
        fd = _open_mark(path)
    except OSError:
        return False
    try:
        if flock_call()[0](fd, TAKE) != 0:
            return False
        shutil.rmtree(path, ignore_errors=True)
        return not path.exists()
    finally:
        os.close(fd)


def _open_mark(path: Path) -> int:
    return os.open(path / _MARK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _is_current(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path / _MARK))
    except OSError:
        return False


def _other_generations(path: Path) -> list[Path]:
    return [old for old in path.glob("arena-*") if old.name != generation_name()]
