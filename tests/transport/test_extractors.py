import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit import Context
from falconkit.context import Key, Notes
from falconkit.errors import ConfigurationError
from falconkit.events import Events
from falconkit.testing import ManualClock
from falconkit.transport.http import Request, extractors
from tests.transport.serving import environ


def request(**more):
    return Request(environ(**more))


def test_each_fills_its_own_field():
    req = request(method="PUT", path="/a/b", HTTP_X_REQUEST_ID="a" * 20)
    ctx = Context(caller="kept")
    assert extractors.method()(req, ctx).method == "PUT"
    assert extractors.path()(req, ctx).path == "/a/b"
    assert extractors.request_id()(req, ctx).request_id == "a" * 20
    assert extractors.client_address()(req, ctx).caller == "127.0.0.1"
    assert extractors.path()(req, ctx).caller == "kept"


def test_another_header_can_carry_the_id():
    req = request(HTTP_X_CORRELATION_ID="c" * 20, HTTP_X_REQUEST_ID="a" * 20)
    assert extractors.request_id("X-Correlation-ID")(req, Context()).request_id == "c" * 20


def test_populate_fills_all_and_keeps_the_rest():
    clock = ManualClock()
    notes, events = Notes(), Events()
    key = Key("mine")
    ctx = Context(notes=notes, events=events, deadline=5.0).having(key, 1)
    sent = str(int((clock.time() - 1.5) * 1000))
    req = request(
        path="/a",
        HTTP_X_REQUEST_ID="a" * 20,
        HTTP_X_FORWARDED_FOR="6.6.6.6, 1.2.3.4",
        HTTP_X_REQUEST_START=sent,
    )
    got = extractors.populate(1, clock=clock)(req, ctx)
    assert (got.method, got.path, got.request_id) == ("POST", "/a", "a" * 20)
    assert (got.caller, got.deadline, got.get(key)) == ("1.2.3.4", 5.0, 1)
    assert (got.notes, got.events) == (notes, events)
    assert got.get(extractors.QUEUE_TIME) == pytest.approx(1.5, abs=0.01)
    assert extractors.populate()(req, ctx).get(extractors.QUEUE_TIME) is None


@pytest.mark.parametrize(
    "good",
    ["a" * 20, "Z" * 200, "9c248150-5b54-4a4a-9d5a-3d0cf7d6a8b1", "ab+/=-" * 4],
)
def test_a_good_request_id_is_kept(good):
    assert extractors.accepted_request_id(good) == good
    assert extractors.start()(request(HTTP_X_REQUEST_ID=good), Events()).request_id == good


@pytest.mark.parametrize(
    "bad",
    [
        None,
        "",
        "a" * 19,
        "a" * 201,
        "a" * 10_000,
        "a" * 20 + "\n",
        'a"' * 10,
        "\x00" * 20,
        "a b" * 10,
        "\xe9" * 20,
        "a_" * 10,
        "\u0663" * 20,
    ],
)
def test_a_hostile_request_id_becomes_a_new_one(bad):
    given = {} if bad is None else {"HTTP_X_REQUEST_ID": bad}
    first = extractors.start()(request(**given), Events()).request_id
    second = extractors.accepted_request_id(bad)
    for made in (first, second):
        assert made != bad
        assert uuid.UUID(made).version == 4
        assert uuid.UUID(made).variant == uuid.RFC_4122
        assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", made)
    assert first != second


@given(st.integers(0, 2**128 - 1))
def test_any_bits_make_a_uuid4(bits):
    made = uuid.UUID(extractors.new_request_id(lambda _: bits))
    assert (made.version, made.variant) == (4, uuid.RFC_4122)
    kept = ~(0xF << 76 | 0x3 << 62) & (2**128 - 1)
    assert made.int & kept == bits & kept


@pytest.mark.parametrize(
    ("hops", "forwarded", "address"),
    [
        (0, "1.1.1.1", "10.0.0.1"),
        (1, None, "10.0.0.1"),
        (1, "", "10.0.0.1"),
        (1, "1.1.1.1", "1.1.1.1"),
        (1, "6.6.6.6, 1.1.1.1", "1.1.1.1"),
        (2, "6.6.6.6, 1.1.1.1, 2.2.2.2", "1.1.1.1"),
        (2, "1.1.1.1", "1.1.1.1"),
        (3, "1.1.1.1,2.2.2.2", "1.1.1.1"),
        (1, "1.1.1.1:4711", "1.1.1.1"),
        (1, "2001:db8::1", "2001:db8::1"),
        (1, "[2001:db8::1]:4711", "2001:db8::1"),
        (1, "not an address", "10.0.0.1"),
        (1, "1.1.1.1, ", "10.0.0.1"),
        (1, "a" * 5000, "10.0.0.1"),
        (1, '"><script>', "10.0.0.1"),
    ],
)
def test_the_caller_is_who_the_last_trusted_proxy_saw(hops, forwarded, address):
    more = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    req = request(REMOTE_ADDR="10.0.0.1", **more)
    assert extractors.client_address(hops)(req, Context()).caller == address
    assert extractors.start(hops)(req, Events()).caller == address


def test_without_an_address_the_caller_is_empty():
    req = request()
    del req.env["REMOTE_ADDR"]
    assert extractors.start()(req, Events()).caller == ""


@pytest.mark.parametrize(
    ("value", "waited"),
    [
        ("{ms}", 2.0),
        ("t={s}", 2.0),
        ("t={s}.250", 1.75),
        ("{future}", 0.0),
        ("0", 60.0),
        ("t=0", 60.0),
        ("", None),
        ("t=", None),
        ("-5", None),
        ("1e3", None),
        ("9" * 17, None),
        ("nan", None),
        ("\u0663\u0663", None),
    ],
)
def test_the_queue_time_is_read_in_both_notations_and_clamped(value, waited):
    clock = ManualClock()
    now = int(clock.time())
    header = value.format(ms=(now - 2) * 1000, s=now - 2, future=(now + 100) * 1000)
    req = request(HTTP_X_REQUEST_START=header)
    late = clock.time() - now
    got = extractors.queue_time(1, clock=clock)(req, Context()).get(extractors.QUEUE_TIME)
    at_once = extractors.start(1, clock=clock)(req, Events()).get(extractors.QUEUE_TIME)
    assert got == at_once
    if waited in (None, 0.0, 60.0):
        assert got == waited
    else:
        assert got == pytest.approx(waited + late, abs=1e-6)


def test_nobody_is_believed_about_the_queue_without_a_trusted_hop():
    req = request(HTTP_X_REQUEST_START="0")
    assert extractors.queue_time()(req, Context()).get(extractors.QUEUE_TIME) is None
    assert extractors.start()(req, Events()).get(extractors.QUEUE_TIME) is None


@pytest.mark.parametrize(
    ("given_path", "path"),
    [("", "/"), ("/a", "/a"), ("/\xc3\xa9", "/\xe9"), ("/\xff", "/\ufffd")],
)
def test_the_path_is_text(given_path, path):
    req = request(path=given_path)
    assert extractors.path()(req, Context()).path == path
    assert extractors.start()(req, Events()).path == path


@pytest.mark.parametrize(
    "factory",
    [extractors.populate, extractors.start, extractors.client_address, extractors.queue_time],
)
def test_fewer_than_no_hops_are_refused(factory):
    with pytest.raises(ConfigurationError, match="TRUSTED_HOPS=-1"):
        factory(-1)
