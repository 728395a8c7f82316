"""What tells one run of a program on one host from all others."""

from __future__ import annotations

import hashlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

SERVERS = ("gunicorn", "granian", "uwsgi", "uvicorn", "hypercorn", "unitd", "mod_wsgi", "passenger")
"""Programs that run several workers of one app, by what their command line names."""


@dataclass(frozen=True, slots=True)
class Parent:
    """The process that started this one.

    Attributes:
        pid: Its id, which the system gives to another process one day.
        started: When it started, in ticks since boot; with it the id is unique.
        command: Its command line.
    """

    pid: int
    started: str
    command: tuple[str, ...]

    def serves(self, own: tuple[str, ...]) -> bool:
        """Return whether it is a server and we are one of its workers.

        It is when we are a fork of it (its command line is ``own``), or when it
        names a server we know. A shell or a test runner is not: the programs
        it starts have nothing to do with each other.

        >>> Parent(7, "1", ("python", "app.py")).serves(("python", "app.py"))
        True
        >>> Parent(7, "1", ("/usr/bin/python", "/v/bin/granian", "app:app")).serves(("python",))
        True
        >>> Parent(7, "1", ("bash",)).serves(("python", "app.py"))
        False
        """
        if self.command and self.command == own:
            return True
        return any(name in os.path.basename(word) for word in self.command[:3] for name in SERVERS)


def command_line(pid: int | str) -> tuple[str, ...]:
    """Return the command line of a process, empty when it cannot be seen."""
    raw = _read(f"/proc/{pid}/cmdline")
    return tuple(raw.rstrip("\0").split("\0")) if raw else ()


def parent() -> Parent | None:
    """Return who started this process, None where the system does not tell (no /proc)."""
    pid = os.getppid()
    # The name, in brackets, may hold anything; the start time is field 22.
    fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
    if len(fields) < 20:
        return None
    return Parent(pid, fields[19], command_line(pid))


def own_command() -> tuple[str, ...]:
    """Return this process' command line."""
    return command_line("self")


def app() -> str:
    """Return what tells this program from others of the same parent: folder and arguments."""
    said = "\0".join((os.getcwd(), *sys.argv))
    return hashlib.blake2b(said.encode("utf-8", "surrogateescape"), digest_size=6).hexdigest()


def generation(layout: str) -> str:
    """Return a name that changes when CLOCK_MONOTONIC does not go on, or ``layout`` changes.

    The clock starts anew when the host boots, and differs in a time namespace.
    """
    boot = _read("/proc/sys/kernel/random/boot_id").strip()
    try:
        namespace = os.readlink("/proc/self/ns/time")
    except OSError:
        namespace = ""
    said = "\0".join((boot, namespace, layout))
    return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
