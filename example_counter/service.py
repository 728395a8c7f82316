"""The business: a running total. It knows nothing of HTTP, limits, logs or metrics."""

import sqlite3
import threading
from contextlib import suppress
from typing import Protocol

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from falconkit.errors import Failed, OutcomeUnknown, Overloaded

LOW, HIGH = -(2**63), 2**63 - 1  # what SQLite and Redis keep in an integer
FULL = "the total would leave 64 bits"


class Counter(Protocol):
    """Keeps a total."""

    def add(self, v: int, request_id: str) -> int:
        """Add ``v`` and return the total; refuse, changing nothing, what leaves 64 bits."""


class MemoryCounter:
    """Keeps the total of one process, for tests and benchmarks."""

    def __init__(self) -> None:
        self._total = 0
        self._lock = threading.Lock()

    def add(self, v: int, request_id: str) -> int:
        with self._lock:
            if not LOW <= self._total + v <= HIGH:
                raise Failed(FULL)
            self._total += v
            return self._total


class SQLiteCounter:
    """Keeps the total in a file, right for all workers of a host and across restarts."""

    TABLE = "CREATE TABLE IF NOT EXISTS total (id INTEGER PRIMARY KEY, v INTEGER NOT NULL) STRICT"
    ADD = (
        "INSERT INTO total VALUES (1, ?) "
        "ON CONFLICT (id) DO UPDATE SET v = v + excluded.v RETURNING v"
    )

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()  # SQLite's own is not fair: one thread of a worker asks
        self._connection: sqlite3.Connection | None = None  # until the first call, after the fork
        connection = self._connect()
        with suppress(sqlite3.OperationalError):  # another worker is at it
            connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(self.TABLE)
        connection.close()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)

    def add(self, v: int, request_id: str) -> int:
        try:
            with self._lock:
                self._connection = self._connection or self._connect()
                [(total,)] = self._connection.execute(self.ADD, (v,))
        except sqlite3.IntegrityError as ex:  # past 64 bits it is no INTEGER: STRICT refuses
            raise Failed(FULL) from ex
        except sqlite3.OperationalError as ex:
            raise Overloaded("the total cannot be written now", retry_after=1) from ex
        return int(total)


class RedisCounter:
    """Keeps the total in Redis, right for all hosts; what Heroku needs.

    When the answer to an addition is lost nobody knows whether it was made, so
    it is remembered as lost: its repeat, by the same request id, adds once.
    """

    # Of three keys: the total; what it was after this request; that the answer to it was lost.
    ADD = """
        local total = redis.call('GET', KEYS[2])
        if total and redis.call('DEL', KEYS[3]) == 1 then return total end
        redis.call('INCRBY', KEYS[1], ARGV[1])
        total = redis.call('GET', KEYS[1])
        redis.call('SET', KEYS[2], total, 'EX', 600)
        return total"""

    def __init__(self, url: str, name: str) -> None:
        once = Retry(NoBackoff(), 0)  # a repeated INCRBY adds again
        self._redis = redis.from_url(url, retry=once, socket_timeout=1, socket_connect_timeout=1)
        self._add = self._redis.register_script(self.ADD)
        self._name = name

    def add(self, v: int, request_id: str) -> int:
        done, lost = (f"{self._name}:{what}:{request_id}" for what in ("done", "lost"))
        try:
            return int(self._add([f"{self._name}:total", done, lost], [v]))
        except redis.ResponseError as ex:
            if "overflow" in str(ex):
                raise Failed(FULL) from ex
            raise
        except redis.RedisError as ex:
            try:
                self._redis.set(lost, 1, ex=600)
            except redis.RedisError:
                raise OutcomeUnknown("the total is away: not known whether it was added") from ex
            raise OutcomeUnknown("not known whether it was added: repeat it by its id") from ex
