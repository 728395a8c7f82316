"""Over real sockets, under real gunicorns: two services in a row, and a client before them."""

import time
from pathlib import Path

import pytest

from falconkit import Context
from falconkit.deadline import timeout
from falconkit.errors import OutcomeUnknown, RetriesExhausted, UpstreamFailed
from falconkit.events import Events, HedgeSent, TryFailed
from falconkit.retry import Threads, hedge, retry
from falconkit.testing import ManualClock, wait_until
from falconkit.testing.gunicorn import Gunicorn
from falconkit.testing.peer import Peer, answer, silence
from falconkit.transport.http import Client

ROOT = Path(__file__).parents[2]
APPS = "tests.retry.services_under_test"


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")

    def serve(name, **env):
        place = str(folder / name)
        env |= {"FALCONKIT_RUN": place, "DIED": str(folder / "died"), "DRAIN_SECONDS": "0"}
        return Gunicorn(f"{APPS}:{name}", cwd=ROOT, **env)

    with (
        serve("users") as users,
        serve("gateway", USERS=f"http://127.0.0.1:{users.port}") as gateway,
    ):
        yield {"users": users, "gateway": gateway, "died": folder / "died"}


@pytest.fixture
def to(servers):
    made = []

    def client(service, method, path, **options):
        url = f"http://127.0.0.1:{servers[service].port}{path}"
        made.append(Client(method, url, service=service, timeout=30.0, **options))
        return made[-1]

    client("users", "POST", "/fail")(Context(), [])
    yield client
    for each in made:
        each.close()


def seen(to):
    return to("users", "GET", "/seen")(Context(), None)


def test_what_is_left_crosses_to_the_service_behind_the_next(to):
    ask = timeout(25.0)(to("gateway", "GET", "/relay"))
    answered = ask(Context(), None)
    assert 0 < answered["user"]["left"] < answered["before"] <= 25.0
    ((_, left),) = seen(to)
    assert left <= answered["before"]


def test_without_a_deadline_of_ones_own_the_clients_timeout_is_told(to):
    assert 0 < to("users", "GET", "/user")(Context(), None)["left"] <= 30.0


def test_a_service_whose_time_is_over_asks_nobody(to, servers):
    status, _, body = servers["gateway"].get("/compute", **{"X-Request-Timeout-Ms": "50"})
    assert (status, body) == (504, b"deadline exceeded: users was not asked")
    assert seen(to) == []


def test_a_service_refuses_what_waited_too_long_before_it(to, servers):
    sent = str(int((time.time() - 31) * 1000))
    status, _, body = servers["users"].get("/user", **{"X-Request-Start": sent})
    assert (status, body) == (504, b"deadline exceeded: user was not called")
    assert seen(to) == []


def test_retry_after_is_obeyed_and_the_try_is_numbered(to):
    clock = ManualClock()
    to("users", "POST", "/fail")(Context(), ["refused", "refused"])
    ask = retry(clock=clock, rng=max)(to("users", "GET", "/user"))
    assert ask(Context(), None)["left"] > 0
    assert clock.slept == [3.025, 3.05]
    assert [attempt for attempt, _ in seen(to)] == [None, 2, 3]


def test_clients_in_a_row_do_not_multiply(to):
    clock = ManualClock()
    to("users", "POST", "/fail")(Context(), ["broken"] * 9)
    ask = retry(clock=clock)(to("gateway", "GET", "/relay"))
    with pytest.raises(UpstreamFailed) as raised:
        ask(Context(), None)
    assert raised.value.final is True
    assert not isinstance(raised.value, RetriesExhausted)
    assert clock.slept == []
    assert [attempt for attempt, _ in seen(to)] == [None, 2, 3]


def test_a_service_that_serves_a_further_try_makes_one(to, servers):
    to("users", "POST", "/fail")(Context(), ["broken"] * 9)
    status, headers, _ = servers["gateway"].get("/relay", **{"X-Request-Attempt": "2"})
    assert status == 502
    assert headers["X-Should-Retry"] is None
    assert [attempt for attempt, _ in seen(to)] == [2]


def test_a_worker_that_is_killed_costs_a_read_one_more_try(to, servers):
    servers["died"].unlink(missing_ok=True)
    ask = retry(clock=ManualClock())(to("users", "GET", "/die"))
    assert ask(Context(), None) == 2


def test_a_worker_that_is_killed_leaves_a_write_unknown(to, servers):
    servers["died"].unlink(missing_ok=True)
    clock = ManualClock()
    ask = retry(clock=clock)(to("users", "POST", "/die"))
    with pytest.raises(OutcomeUnknown) as raised:
        ask(Context(), None)
    assert not isinstance(raised.value, RetriesExhausted)
    assert clock.slept == []


def test_a_second_try_beside_one_that_hangs():
    heard = []
    threads = Threads(2)
    with Peer(answer(200, b"0"), silence(), answer(200, b"1")) as peer:
        client = Client("GET", peer.url, returns=int, name="users", timeout=30.0)
        ask = hedge(threads, warm_up=1, at_least=0.0, clock=ManualClock())(client)
        assert ask(Context(), None) == 0
        ctx = Context(events=Events(heard.append))
        assert ask(ctx, None) == 1
        # Either of the two may have been the first to arrive, and to hang.
        attempts = [each.headers.get("x-request-attempt") for each in peer.requests]
        assert sorted(map(str, attempts)) == ["2", "None", "None"]
        assert heard == [HedgeSent("users")]
    threads.close()
    client.close()
    wait_until(lambda: len(heard) == 2)
    assert heard[1] in {TryFailed("users", attempt, "UpstreamFailed") for attempt in (1, 2)}


def test_a_server_that_is_gone_is_tried_again_by_any_method(servers):
    clock = ManualClock()
    away = Client("POST", "http://127.0.0.1:1/x", service="gone")
    with pytest.raises(RetriesExhausted) as raised:
        retry(clock=clock)(away)(Context(), 1)
    assert [type(each).__name__ for each in raised.value.causes] == ["UpstreamUnavailable"] * 3
    away.close()
