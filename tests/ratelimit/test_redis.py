from __future__ import annotations

import contextlib
import math
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from falconkit.arena import Arena
from falconkit.errors import ConfigurationError
from falconkit.events import Event, Events, LimiterFellBack
from falconkit.ratelimit import TokenBucket
from falconkit.ratelimit.redis import RedisBuckets, connect
from falconkit.testing import conform_limiter as suite
from tests.services import redis_server


@pytest.fixture(scope="module")
def own_redis() -> Iterator[str]:
    """One whose statistics nobody else moves."""
    with redis_server() as url:
        # A busy test machine may take longer than a limiter is given.
        yield f"{url}?socket_timeout=10&socket_connect_timeout=10"


@pytest.fixture
def client(own_redis: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(own_redis, decode_responses=True) as client:
        client.flushall()
        client.script_flush()
        client.config_resetstat()
        yield client


def calls_of(client: redis.Redis) -> dict[str, int]:
    stats = client.info("commandstats")
    return {name[8:]: each["calls"] for name, each in stats.items()}


def test_one_round_trip_a_decision_once_the_script_is_known(
    client: redis.Redis, own_redis: str
) -> None:
    bucket = TokenBucket("5/hour", storage=own_redis)
    assert [bucket.take("ann").remaining for _ in range(3)] == [4, 3, 2]
    calls = calls_of(client)
    assert (calls["evalsha"], calls["eval"]) == (3, 1), "the first was unknown, and sent whole"
    client.script_flush()
    assert bucket.take("ann").remaining == 1
    assert bucket.take("ann").remaining == 0
    assert bucket.status() == {"away": False, "fell_back": 0, "decided_here": 0}


def test_keeps_one_float_that_expires_when_the_bucket_is_full(
    client: redis.Redis, own_redis: str
) -> None:
    TokenBucket("6/minute", burst=3, storage=own_redis, service="counter").take("ann", 2)
    assert client.keys() == ["falconkit:counter:ann/10.0/3"]
    (key,) = client.keys()
    seconds, micros = client.time()
    full_in = float(client.get(key)) + 1767225600 - (seconds + micros / 1e6)
    assert 15 < full_in <= 20
    assert math.isclose(client.pttl(key) / 1000, full_in, abs_tol=0.1)


def test_services_are_apart(client: redis.Redis, own_redis: str) -> None:
    one = TokenBucket("1/hour", storage=own_redis, service="one")
    two = TokenBucket("1/hour", storage=own_redis, service="two")
    assert (one.take("add").allowed, two.take("add").allowed) == (True, True)
    assert (one.take("add").allowed, two.take("add").allowed) == (False, False)


def test_a_look_writes_nothing(client: redis.Redis, own_redis: str) -> None:
    bucket = TokenBucket("5/hour", storage=own_redis)
    assert bucket.peek("ann").remaining == 5
    assert client.dbsize() == 0
    bucket.take("ann")
    assert bucket.peek("ann").remaining == 4
    bucket.clear("ann")
    assert client.dbsize() == 0


@pytest.mark.parametrize("value", ["", "nan", "rubbish", "-1e300", "0"])
def test_a_value_that_is_no_time_is_a_full_bucket(
    client: redis.Redis, own_redis: str, value: str
) -> None:
    client.set("falconkit::ann/720.0/5", value)
    assert TokenBucket("5/hour", storage=own_redis).take("ann").remaining == 4


@pytest.mark.parametrize("value", ["inf", "1e300"])
def test_a_value_from_the_future_is_an_empty_bucket_and_no_more(
    client: redis.Redis, own_redis: str, value: str
) -> None:
    client.set("falconkit::ann/720.0/5", value)
    refused = TokenBucket("5/hour", storage=own_redis).take("ann")
    assert (refused.allowed, refused.retry_after) == (False, 720.0)


def test_a_million_a_second_stay_apart(client: redis.Redis, own_redis: str) -> None:
    bucket = TokenBucket("1000000/second", burst=1000000, storage=own_redis)
    bucket.take("ann", 999_000)
    before = bucket.peek("ann").reset_after
    assert 0.9 < before < 1.0


def test_a_key_of_another_type_falls_back(
    client: redis.Redis, own_redis: str, tmp_path: Path
) -> None:
    client.lpush("falconkit::ann/720.0/5", "x")
    heard: list[Event] = []
    bucket = TokenBucket(
        "5/hour", storage=own_redis, arena=Arena(tmp_path / "a"), events=Events(heard.append)
    )
    assert bucket.take("ann").remaining == 4
    (event,) = heard
    assert isinstance(event, LimiterFellBack)
    assert "WRONGTYPE" in event.cause


def forward(near: socket.socket, address: tuple[str, int]) -> None:
    """Bring Redis what it is sent; drop what it answers to a decision."""
    with near, socket.create_connection(address) as far:
        while data := near.recv(65536):
            far.sendall(data)
            answer = far.recv(65536)
            if b"EVAL" not in data:
                near.sendall(answer)


@contextlib.contextmanager
def losing_answers(url: str) -> Iterator[int]:
    host, port = url.removeprefix("redis://").partition("?")[0].split(":")

    def accept() -> None:
        with contextlib.suppress(OSError):  # until it is shut
            while True:
                near, _ = listener.accept()
                thread = threading.Thread(target=forward, args=(near, (host, int(port))))
                threads.append(thread)
                thread.start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads = [threading.Thread(target=accept)]
        threads[0].start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(60)


def test_a_lost_answer_takes_once_and_is_decided_here(
    client: redis.Redis, own_redis: str, tmp_path: Path
) -> None:
    TokenBucket("5/hour", storage=own_redis, service="warm").take("script is known now")
    client.config_resetstat()
    heard: list[Event] = []
    with losing_answers(own_redis) as port:
        bucket = TokenBucket(
            "5/hour",
            storage=f"redis://127.0.0.1:{port}?socket_timeout=0.5",
            service="lost",
            arena=Arena(tmp_path / "a"),
            events=Events(heard.append),
        )
        assert bucket.take("ann").remaining == 4
        assert bucket.take("ann").remaining == 3
    calls = calls_of(client)
    assert (calls["evalsha"], calls.get("eval", 0)) == (1, 0)
    assert TokenBucket("5/hour", storage=own_redis, service="lost").peek("ann").remaining == 4
    assert [type(event) for event in heard] == [LimiterFellBack]


def test_a_client_waits_a_tenth_of_a_second_and_sends_once() -> None:
    pool = connect("redis://127.0.0.1:1").connection_pool.connection_kwargs
    assert (pool["socket_timeout"], pool["socket_connect_timeout"]) == (0.1, 0.1)
    assert pool["retry"].get_retries() == 0
    own = connect("redis://127.0.0.1:1?socket_timeout=0.5").connection_pool.connection_kwargs
    assert own["socket_timeout"] == 0.5


def test_a_unix_socket_as_limits_writes_it(client: redis.Redis, tmp_path: Path) -> None:
    kwargs = connect(f"redis+unix://{tmp_path}/redis.sock").connection_pool.connection_kwargs
    assert kwargs["path"] == f"{tmp_path}/redis.sock"


@pytest.mark.parametrize("url", ["redis://h:port", "redis://h:1?socket_timeout=soon", "http://h"])
def test_a_url_that_cannot_be_read(url: str) -> None:
    with pytest.raises(ConfigurationError, match="the Redis URL cannot be read"):
        connect(url)


def test_hostile_keys_in_a_store(client: redis.Redis) -> None:
    buckets = RedisBuckets(client, prefix="raw:")
    for key in suite.KEYS:
        assert buckets.take(key, 60.0, 1) == (True, 60.0)
        assert not buckets.take(key, 60.0, 1)[0]
    assert client.dbsize() == len(suite.KEYS)
