"""A terminal whose keys are read one by one, and which is left as it was found."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Iterator
from types import FrameType
from typing import Final

_VDISABLE: Final = b"\0"
_AT_ONCE: Final = 4096


class Terminal:
    """Waits for a key, a change of the window's size, or a call of `wake` from any thread.

    Use `terminal`, which undoes all that it does.
    """

    def __init__(self, keys: int | None, woken: int, waker: int) -> None:
        self._keys = keys
        self._woken, self._waker = woken, waker

    def wake(self) -> None:
        """End a wait that is under way, or the next one."""
        with contextlib.suppress(BlockingIOError):  # so full that it wakes all the same
            os.write(self._waker, b"!")

    def wait(self, seconds: float) -> str:
        """Wait so long at most; returns the keys that were pressed."""
        watched = [self._woken] if self._keys is None else [self._woken, self._keys]
        ready, _, _ = select.select(watched, (), (), seconds)
        if self._woken in ready:
            os.read(self._woken, _AT_ONCE)
        if self._keys is None or self._keys not in ready:
            return ""
        pressed = os.read(self._keys, _AT_ONCE)
        if not pressed:
            self._keys = None  # nobody will press any more
        return pressed.decode("utf-8", "replace")


@contextlib.contextmanager
def terminal() -> Iterator[Terminal]:
    """Read keys from stdin, if it is a terminal; what was changed is put back at the end.

    A SIGTERM or SIGHUP ends the block as `SystemExit`, so that it is put back then, too.
    """
    woken, waker = os.pipe()
    os.set_blocking(waker, False)
    with contextlib.ExitStack() as undo:
        undo.callback(os.close, waker)
        undo.callback(os.close, woken)
        # A resize wakes through the same pipe: Python writes the signal's number there.
        undo.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(waker, warn_on_full_buffer=False))
        for number, handler in (
            (signal.SIGWINCH, _nothing),
            (signal.SIGTERM, _leave),
            (signal.SIGHUP, _leave),
        ):
            undo.callback(signal.signal, number, signal.signal(number, handler))
        yield Terminal(_read_keys(undo), woken, waker)


def _read_keys(undo: contextlib.ExitStack) -> int | None:
    try:
        keys = sys.stdin.fileno()
        before = termios.tcgetattr(keys)
    except (termios.error, ValueError, OSError, AttributeError):
        return None  # it is no terminal
    undo.callback(termios.tcsetattr, keys, termios.TCSADRAIN, before)
    tty.setcbreak(keys)
    now = termios.tcgetattr(keys)
    # A stop by ^Z would leave the shell with our screen.
    now[6][termios.VSUSP] = _VDISABLE
    termios.tcsetattr(keys, termios.TCSADRAIN, now)
    return keys


def _nothing(number: int, frame: FrameType | None) -> None:
    pass


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)
