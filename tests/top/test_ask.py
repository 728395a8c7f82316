from __future__ import annotations

import msgspec
import pytest

from falconkit.errors import ConfigurationError
from falconkit.testing.peer import Peer, answer, hang_up, silence
from falconkit.top import ask as module
from falconkit.top.ask import Ask, Away
from falconkit.top.poll import Poll
from tests.services import free_port
from tests.top.documents import full, state

DOCUMENT = msgspec.json.encode(full())


@pytest.fixture
def peer():
    made = []

    def make(*replies):
        made.append(Peer(*replies))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def asking():
    made = []

    def make(url, token="", **options):
        made.append(Ask(url, token, **({"timeout": 60.0} | options)))
        return made[-1]

    yield make
    for each in made:
        each.close()


def away(ask) -> Away:
    with pytest.raises(Away) as caught:
        ask()
    return caught.value


def test_it_asks_with_the_token_in_a_header_alone(peer, asking):
    service = peer(answer(200, DOCUMENT), answer(200, DOCUMENT))
    assert asking(service.url, "t0k3n-of-counter")() == full()
    asking(service.url)()
    with_token, without = service.requests
    assert (with_token.method, with_token.target) == ("GET", "/debug/state")
    assert with_token.headers["authorization"] == "Bearer t0k3n-of-counter"
    assert "authorization" not in without.headers


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://h:1", "http://h:1/debug/state"),
        ("http://h:1/", "http://h:1/debug/state"),
        ("http://h/debug/state", "http://h/debug/state"),
        ("https://h/behind/", "https://h/behind/debug/state"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000/debug/state"),
        ("http://[::1]:8000", "http://[::1]:8000/debug/state"),
    ],
)
def test_urls(asking, url, asked):
    assert asking(url).url == asked


@pytest.mark.parametrize(
    "url",
    ["http://u:hunter2@h", "http://h?x=1", "http://h#x", "ftp://h", "http://", "http://h:x", ""],
)
def test_urls_that_cannot_be_asked(url):
    with pytest.raises(ConfigurationError) as caught:
        Ask(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "token", "words"),
    [
        (401, "", "set DEBUG_TOKEN to the service's, or give --token-file"),
        (403, "", "or ask on its own machine"),
        (403, "t0k3n-of-counter", "it does not take this token"),
        (404, "", "DEBUG_PAGE=local"),
        (405, "", "DEBUG_PAGE=local"),
    ],
)
def test_a_refusal_says_what_to_do(peer, asking, status, token, words):
    found = away(asking(peer(answer(status, b"no")).url, token))
    assert words in str(found)
    assert found.refused
    assert "t0k3n" not in str(found)


def test_redirects_are_not_followed(peer, asking):
    elsewhere = peer(answer(200, DOCUMENT))
    service = peer(answer(302, b"", {"Location": f"{elsewhere.url}/debug/state"}))
    found = away(asking(service.url, "t0k3n-of-counter"))
    assert "leading to" in str(found)
    assert "redirects are not followed" in str(found)
    assert found.refused
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    "reply",
    [
        answer(500, b"internal server error"),
        answer(200, b"<html>"),
        answer(200, b"[]"),
        answer(200, b""),
        answer(200, b"\xff\xfe"),
        hang_up(),
        hang_up(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
        b"garbage\r\n\r\n",
    ],
    ids=range(8),
)
def test_what_is_no_document_is_told_and_asked_for_again(peer, asking, reply):
    ask = asking(peer(reply, answer(200, DOCUMENT)).url)
    found = away(ask)
    assert not found.refused
    assert str(found)
    assert ask() == full()


def test_a_silent_service_is_not_waited_for(peer, asking):
    found = away(asking(peer(silence()).url, timeout=0.05))
    assert "did not answer in 0.05 s" in str(found)


def test_nobody_there(asking):
    assert "cannot be reached" in str(away(asking(f"http://127.0.0.1:{free_port()}")))


def test_too_much_is_not_read(peer, asking, monkeypatch):
    monkeypatch.setattr(module, "LARGEST", 1000)
    found = away(asking(peer(answer(200, b" " * 1001)).url))
    assert "more than 1000 bytes" in str(found)


def test_another_version_is_not_guessed_at(peer, asking):
    document = msgspec.json.encode(state(version=99, falconkit="9.9"))
    found = away(asking(peer(answer(200, document)).url))
    assert "version 99" in str(found)
    assert "falconkit 9.9" in str(found)


def test_fields_that_came_since_are_read_over(peer, asking):
    document = msgspec.json.decode(DOCUMENT) | {"invented": {"since": 1}}
    assert asking(peer(answer(200, msgspec.json.encode(document))).url)() == full()


class Script:
    def __init__(self, *answers):
        self.answers = list(answers)

    def __call__(self):
        each = self.answers.pop(0)
        if isinstance(each, Exception):
            raise each
        return each


def test_a_service_that_goes_and_comes_back(clock):
    told = []
    ask = Script(full(), Away("gone"), Away("still gone"), full(since=4), full(since=5))
    poll = Poll(ask, "u", every=1.0, told=lambda: told.append(1), clock=clock)
    poll.turn()
    assert (poll.view.away_since, poll.view.paces.seconds) == (None, 0.0)
    clock.advance(1)
    poll.turn()
    lost_at = clock.time()
    clock.advance(1)
    poll.turn()
    assert (poll.view.away_since, poll.view.trouble) == (lost_at, "still gone")
    assert poll.view.state == full()
    poll.turn()
    assert (poll.view.away_since, poll.view.trouble) == (None, "")
    assert poll.view.paces.seconds == 4.0  # by the service's clock
    poll.turn()
    assert poll.view.paces.seconds == 1.0


def test_a_service_that_was_started_anew_has_no_negative_rates(clock):
    anew = state(run="r2", at=3.0, endpoints=full().endpoints)
    poll = Poll(Script(full(since=9), anew), "u", every=1.0, clock=clock)
    poll.turn()
    poll.turn()
    assert poll.view.paces.endpoints == {}
    assert poll.view.state == anew


def test_only_a_refusal_at_the_start_is_one_to_give_up_for(clock):
    refusal = Away("no", refused=True)
    first = Poll(Script(refusal), "u", every=1.0, clock=clock)
    first.turn()
    assert first.refused
    later = Poll(Script(full(), refusal, RuntimeError("odd")), "u", every=1.0, clock=clock)
    for _ in range(2):
        later.turn()
    assert not later.refused
    later.turn()
    assert later.view.trouble == "RuntimeError: odd"
