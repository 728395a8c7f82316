"""The last messages of all processes: a ring of entries of one size, in shared memory."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable

from falconkit.arena.cellfile import HEADER
from falconkit.arena.lock import Lock
from falconkit.arena.place import Place

_ENTRY = struct.Struct("<QII")
_COUNT = struct.Struct("<Q")


class Journal:
    """Keeps the last messages, the oldest makes room; they outlive who wrote them.

    >>> from falconkit.arena import Arena
    >>> news = Arena(directory=None).journal("news", entries=2, size=32)
    >>> for message in (b"one", b"two", b"three"):
    ...     news.add(message)
    >>> news.read()
    [b'two', b'three']

    Args:
        open_place: Where it is; called on first use.
        name: Part of file names.
        entries: How many messages are kept.
        size: Bytes of one; a longer one is not kept.
        degraded: Hears of a message that was not kept.
    """

    __slots__ = ("_degraded", "_entries", "_memory", "_name", "_open_place", "_size", "_state")

    def __init__(
        self,
        open_place: Callable[[], Place],
        name: str,
        entries: int,
        size: int,
        *,
        degraded: Callable[[str, str], None],
    ) -> None:
        self._open_place = open_place
        self._name = f"{name}-{entries}x{size}.journal"
        self._entries, self._size = entries, size
        self._degraded = degraded
        self.forget()

    def forget(self) -> None:
        """Open anew on the next use: after a fork, or when the arena was closed."""
        self._state: tuple[memoryview[int], Lock] | None = None

    def add(self, message: bytes) -> None:
        """Keep a message. When that cannot be done within 5 ms it is dropped, and counted."""
        # PERF: 2.8 us for one of 300 bytes, of which the lock is 2: for what is rare.
        if len(message) > self._size:
            self._degraded("full", f"{self._name} takes no message of {len(message)} bytes")
            return
        try:
            memory, lock = self._state or self._opened()
        except OSError as error:
            self._degraded("full", f"{self._name} cannot be opened: {error}")
            return
        if not lock.acquire():
            self._degraded("contended", f"a message was not kept in {self._name}")
            return
        try:
            (count,) = _COUNT.unpack(memory[: _COUNT.size])
            at = HEADER + count % self._entries * (_ENTRY.size + self._size)
            entry = _ENTRY.pack(count + 1, len(message), zlib.crc32(message)) + message
            memory[at : at + len(entry)] = entry
            memory[: _COUNT.size] = _COUNT.pack(count + 1)
        finally:
            lock.release()

    def read(self) -> list[bytes]:
        """Return the messages that are kept, the oldest first; never waits."""
        memory, _ = self._state or self._opened()
        seen = bytes(memory)
        found = []
        for at in range(HEADER, len(seen), _ENTRY.size + self._size):
            number, length, check = _ENTRY.unpack_from(seen, at)
            message = seen[at + _ENTRY.size : at + _ENTRY.size + min(length, self._size)]
            # One that is being written, or was when its process was killed, is none.
            if number and zlib.crc32(message) == check:
                found.append((number, message))
        return [message for _, message in sorted(found)]

    def _opened(self) -> tuple[memoryview[int], Lock]:
        place = self._open_place()
        size = HEADER + self._entries * (_ENTRY.size + self._size)
        memory = memoryview(place.segment(self._name, size))
        self._state = memory, place.locks(self._name, 1)[0]
        return self._state
