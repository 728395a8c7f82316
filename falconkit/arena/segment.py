"""Files of a fixed size, mapped into memory: what is written there, every worker sees.

A file's space is reserved when it is made: writing to a mapped file for which
there is no room left kills the process with SIGBUS, while `os.posix_fallocate`
says ENOSPC. A store that needs more adds a file; a mapping is never resized.
"""

from __future__ import annotations

import contextlib
import mmap
import os
from pathlib import Path

_ZEROS = bytes(1 << 16)


def reserve(fd: int, size: int) -> None:
    """Make the file ``size`` bytes long, with room on the disk for all of them.

    Raises:
        OSError: There is no room.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
        return
    for at in range(os.fstat(fd).st_size, size, len(_ZEROS)):
        os.pwrite(fd, _ZEROS[: size - at], at)


def create(path: Path, size: int, content: bytes = b"") -> None:
    """Make a file whole or not at all; one that is there already stays as it is.

    Args:
        path: Where.
        size: Bytes; what ``content`` leaves is zero.
        content: How it begins.

    Raises:
        OSError: There is no room, or the folder cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        reserve(fd, size)
        os.pwrite(fd, content, 0)
        # A link fails where a rename would replace what another worker made first.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        os.close(fd)
        os.unlink(draft)


def map_anew(path: Path, size: int, content: bytes = b"") -> mmap.mmap:
    """Map the file, which is made when it is not there.

    Raises:
        OSError: There is no room, or it is not ``size`` bytes long.
    """
    try:
        return map_file(path, size)
    except FileNotFoundError:
        create(path, size, content)
        return map_file(path, size)


def map_file(path: Path, size: int) -> mmap.mmap:
    """Map a file that `create` made.

    Raises:
        OSError: It is not there, or is not ``size`` bytes long.
    """
    fd = os.open(path, os.O_RDWR)
    try:
        found = os.fstat(fd).st_size
        if found != size:
            raise OSError(f"{path} has {found} bytes instead of {size}: it is not an arena's")
        return mmap.mmap(fd, size)
    finally:
        os.close(fd)
