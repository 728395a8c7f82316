"""A load generator on loopback: kept or fresh connections, every outcome told apart."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise


@dataclass
class Outcomes:
    """What came of the calls.

    Attributes:
        statuses: Answers by status.
        cut_unused: Closes without a byte of answer on a connection that had answered before:
            the one kind that a client may meet when a server closes a kept connection.
        cut: Every other failure, by name.
        began: When the first byte was sent, monotonic seconds.
        ended: When the last answer was read.
        answered: When the first answer was read.
        refused: When each call was sent that was answered 429.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    cut_unused: int = 0
    cut: Counter[str] = field(default_factory=Counter)
    began: float = float("inf")
    ended: float = 0.0
    answered: float = float("inf")
    refused: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def merge(self, other: Outcomes) -> None:
        self.statuses += other.statuses
        self.cut += other.cut
        self.cut_unused += other.cut_unused
        self.began, self.ended = min(self.began, other.began), max(self.ended, other.ended)
        self.answered = min(self.answered, other.answered)
        self.refused += other.refused

    def seconds_at_the_limit(self, rest: float) -> float:
        """Return how long the limit was surely kept busy, from its first answer on.

        A refusal shows that the bucket is empty. What is between two of them counts up to
        ``rest`` seconds, in which a bucket is full again; a caller that was held up
        for longer has left some of the rate unused.
        """
        times = [self.answered, *sorted(self.refused)]
        return sum(min(max(0.0, b - a), rest) for a, b in pairwise(times))


def request(path: str = "/add", body: bytes = b'{"v":1}', method: str = "POST") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"Content-Type: application/json\r\n\r\n" + body


class Closed(Exception):
    """The server closed the connection; ``read`` bytes of the answer had come."""

    def __init__(self, read: int) -> None:
        super().__init__(f"closed after {read} bytes")
        self.read = read


def answer(sock: socket.socket) -> tuple[int, bytes, bytes]:
    """Read one answer with a Content-Length: status, head, body."""
    data = b""
    while b"\r\n\r\n" not in data:
        try:
            chunk = sock.recv(65536)
        except ConnectionError:
            chunk = b""
        if not chunk:
            raise Closed(len(data))
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    while len(body) < length:
        chunk = sock.recv(65536)
        if not chunk:
            raise Closed(len(data) + len(body))
        body += chunk
    return int(head.split(b" ", 2)[1]), head, body


class Load:
    """Calls from so many threads until ``stop`` (or so many calls, or so many seconds)."""

    def __init__(
        self,
        port: int,
        *,
        threads: int = 4,
        kept: bool = True,
        calls: int = 1_000_000,
        seconds: float = 60,
        payload: bytes | None = None,
        pause: float = 0.0,
    ) -> None:
        self.outcomes = Outcomes()
        self._address = ("127.0.0.1", port)
        self._kept, self._pause = kept, pause
        self._payload = request() if payload is None else payload
        self._left = calls
        self._until = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> Outcomes:
        with self._lock:
            self._left = 0
        return self.wait()

    def wait(self) -> Outcomes:
        for thread in self._threads:
            thread.join(60)
        return self.outcomes

    def _more(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left >= 0 and time.monotonic() < self._until

    def _run(self) -> None:
        mine = Outcomes()
        sock: socket.socket | None = None
        try:
            while self._more():
                sock = self._call(sock, mine)
                if self._pause:
                    time.sleep(self._pause)
        finally:
            if sock is not None:
                sock.close()
            with self._lock:
                self.outcomes.merge(mine)

    def _call(self, sock: socket.socket | None, mine: Outcomes) -> socket.socket | None:
        used = sock is not None
        try:
            if sock is None:
                sock = socket.create_connection(self._address, timeout=30)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sent = time.monotonic()
            mine.began = min(mine.began, sent)
            sock.sendall(self._payload)
            status, head, _ = answer(sock)
            mine.statuses[status] += 1
            mine.ended = time.monotonic()
            mine.answered = min(mine.answered, mine.ended)
            if status == 429:
                mine.refused.append(sent)
            if self._kept and b"connection: close" not in head.lower():
                return sock
        except Closed as ex:
            if used and ex.read == 0:
                mine.cut_unused += 1
            else:
                mine.cut[f"closed after {ex.read} bytes, {'kept' if used else 'fresh'}"] += 1
        except OSError as ex:
            if used and isinstance(ex, ConnectionError):
                mine.cut_unused += 1  # refused while sending: not a byte of answer came
            else:
                mine.cut[f"{type(ex).__name__}, {'kept' if used else 'fresh'}"] += 1
        if sock is not None:
            sock.close()
        return None


def call(port: int, payload: bytes) -> tuple[int, bytes, bytes]:
    """Make one call on a fresh connection."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as sock:
        sock.sendall(payload)
        return answer(sock)


def get(port: int, path: str) -> tuple[int, bytes, bytes]:
    return call(port, request(path, b"", "GET"))


def poll(predicate: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something another process does has been done."""
    deadline = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > deadline:
            raise AssertionError(f"not so after {seconds} s")
        time.sleep(0.02)
