"""The folder that the workers of one app on one host share: found, made, swept, removed.

A folder that nobody removed, as when its server was killed, is swept by whoever
makes the next one.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from falconkit.arena import host
from falconkit.arena.lock import available
from falconkit.arena.owner import enter, remove_unused, verify
from falconkit.errors import ConfigurationError

VARIABLE = "FALCONKIT_RUN"
"""The environment variable that names the folder."""

_held: dict[str, int] = {}
# Lock files of folders that this process made: a process' locks are its own
# as a whole, wherever `create` and `remove` are called from.


def places() -> tuple[Path, ...]:
    """Return where a run directory may be made: in memory if possible."""
    return Path("/dev/shm"), Path(tempfile.gettempdir())  # noqa: S108 - a folder of mode 0700 in it


def check(directory: str | os.PathLike[str], *, variable: str = VARIABLE) -> None:
    """Say what is wrong with a folder that was asked for; nothing is made.

    Raises:
        ConfigurationError: It cannot be used. The message names ``variable``.
    """
    path = Path(directory)
    try:
        verify(path, given=True)
        wanted = path
    except FileNotFoundError:
        wanted = path.parent
    except OSError as error:
        raise _unusable(path, variable, error) from error
    if not os.access(wanted, os.W_OK | os.X_OK):
        raise _unusable(path, variable, f"{wanted} cannot be written")


def find(
    *, environ: Mapping[str, str] = os.environ, among: Iterable[Path] | None = None
) -> tuple[Path | None, str]:
    """Return the run directory of this process, which need not be there yet, or why it has none.

    It is the one that ``FALCONKIT_RUN`` names; else it is named after the user,
    the parent process with its start time, and the app, when the parent is a server.

    Args:
        environ: The environment.
        among: Where it may be; `places` when None.
    """
    if not available():
        return None, "this platform has no file locks (fcntl)"
    if environ.get(VARIABLE):
        return Path(environ[VARIABLE]), ""
    parent = host.parent()
    if parent is None or parent.pid == 1 or not parent.serves(host.own_command()):
        who = "unknown" if parent is None else f"pid {parent.pid} {' '.join(parent.command)[:80]}"
        return None, f"the parent process ({who}) is no server known to share it; set {VARIABLE}"
    name = f"{_prefix()}{parent.pid}-{parent.started}-{host.app()}"
    tried = []
    for place in places() if among is None else among:
        if os.access(place, os.W_OK | os.X_OK):
            return place / name, ""
        tried.append(str(place))
    return None, f"no place can be written (tried {', '.join(tried)}); set {VARIABLE}"


def create(
    app: str,
    *,
    environ: Mapping[str, str] = os.environ,
    among: Iterable[Path] | None = None,
    uid: int = -1,
    gid: int = -1,
) -> Path | None:
    """Make a run directory for a server that is about to fork its workers.

    It is in use until this process ends or calls `remove`. Stale ones are swept.

    Args:
        app: Part of its name, for people.
        environ: When it holds ``FALCONKIT_RUN``, that folder is used.
        among: Where it may be made; `places` when None.
        uid: Who the workers will run as, when that is somebody else.
        gid: Their group.

    Returns:
        The folder, to be handed to the workers in ``FALCONKIT_RUN``; None when
        there is no place for one, and each worker has to be content with its own.

    Raises:
        ConfigurationError: ``FALCONKIT_RUN`` names a folder that cannot be used.
    """
    if not available():
        return None
    if not _held:
        os.register_at_fork(after_in_child=_forget)
    if environ.get(VARIABLE):
        path = Path(environ[VARIABLE])
        try:
            _own(path, uid, gid, given=True)
        except OSError as error:
            raise _unusable(path, VARIABLE, error) from error
        return path
    among = tuple(places() if among is None else among)
    sweep(among)
    name = f"{_prefix()}{re.sub(r'[^A-Za-z0-9_.-]', '_', app)[:40]}-{os.getpid()}"
    for place in among:
        path = place / f"{name}-{os.urandom(4).hex()}"
        try:
            _own(path, uid, gid)
        except OSError:
            continue
        return path
    return None


def remove(path: str | os.PathLike[str]) -> bool:
    """Remove a folder that `create` made, unless somebody else still uses it.

    One that the user named in ``FALCONKIT_RUN`` stays.

    Returns:
        Whether it is gone.
    """
    folder = Path(path)
    fd = _held.pop(str(folder), -1)
    if fd >= 0:
        os.close(fd)
    return folder.name.startswith(_prefix()) and remove_unused(folder, given=fd >= 0)


def sweep(among: Iterable[Path] | None = None) -> list[Path]:
    """Remove this user's run directories that nobody uses; returns which."""
    swept = []
    for place in places() if among is None else among:
        try:
            found = [Path(entry.path) for entry in os.scandir(place)]
        except OSError:
            continue
        swept += [path for path in found if path.name.startswith(_prefix()) and remove_unused(path)]
    return swept


def _own(path: Path, uid: int, gid: int, *, given: bool = False) -> None:
    fd = enter(path, given=given)
    if uid >= 0 or gid >= 0:
        os.chown(path, uid, gid)
        os.fchown(fd, uid, gid)
    _held[str(path)] = fd


def _forget() -> None:
    # flock belongs to the open file: a worker that outlives its killed master
    # would keep the folder in use with what it inherited.
    for fd in _held.values():
        os.close(fd)
    _held.clear()


def _prefix() -> str:
    return f"falconkit-{os.geteuid()}-"


def _unusable(path: Path, variable: str, why: object) -> ConfigurationError:
    return ConfigurationError(
        f"{variable}={str(path)!r} cannot be used: {why}; "
        "name a folder of this user, with mode 700, that can be written"
    )
