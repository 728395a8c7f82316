import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconkit.errors import ConfigurationError
from falconkit.sd import Instance
from falconkit.sd.discovery import settle
from falconkit.sd.instance import Unusable, read, read_address
from falconkit.sd.record import dump, load

HOSTILE = [
    "",
    ".",
    "a..b",
    "-a",
    "a b",
    "a\r\nHost: b",
    "a/b",
    "a@b",
    "a?b",
    "a#b",
    "é.test",
    "a" * 64,
    ".".join(["a" * 60] * 5),
    "1.2.3",
    "256.1.1.1",
    "1.2.3.4.5",
    "0x7f.1",
    "::1%eth0",
    "[::1]",
    "::",
    "0.0.0.0",
    "224.0.0.1",
    "ff02::1",
    "fe80::1%25x",
    "a\x00",
]


@pytest.mark.parametrize("host", HOSTILE)
def test_a_host_that_cannot_be_called_is_refused(host):
    with pytest.raises(ConfigurationError):
        Instance(host, 80)
    assert isinstance(read(host, 80), Unusable)


@pytest.mark.parametrize(
    "more",
    [
        {"port": 0},
        {"port": 65536},
        {"port": True},
        {"port": "80"},
        {"weight": -1},
        {"weight": float("nan")},
        {"weight": float("inf")},
        {"priority": -1},
        {"priority": 1.5},
        {"zone": "a\nb"},
        {"id": "x" * 256},
        {"tags": ("t",) * 65},
        {"tags": ("\x1b[31m",)},
    ],
)
def test_a_value_out_of_bounds_is_refused(more):
    with pytest.raises(ConfigurationError):
        Instance(**({"host": "a.test", "port": 80} | more))


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("10.0.0.1:80", "10.0.0.1", 80),
        ("users:8000", "users", 8000),
        ("_a.b-c.test.:1", "_a.b-c.test.", 1),
        ("[2001:db8::1]:65535", "2001:db8::1", 65535),
    ],
)
def test_an_address_is_read_and_written(text, host, port):
    instance = Instance.parse(text)
    assert (instance.host, instance.port, instance.address) == (host, port, text)


@pytest.mark.parametrize(
    "text", ["", "a", ":80", "a:", "a:b", "a:80:81", "::1:80", "[::1]", "[a]:80", "a:٣", "a:000080"]
)
def test_an_address_that_is_none_is_refused(text):
    with pytest.raises(ConfigurationError):
        Instance.parse(text)


@given(st.text(max_size=40))
def test_any_text_is_an_instance_or_unusable(text):
    found = read_address(text)
    if isinstance(found, Instance):
        assert Instance.parse(found.address) == found


@given(st.binary(max_size=60))
def test_any_record_is_an_instance_or_unusable(raw):
    assert isinstance(load(raw), Instance | Unusable)


@pytest.mark.parametrize(
    "raw",
    [
        b"{}",
        b"[]",
        b"{",
        b'{"host":1,"port":80}',
        b'{"host":"a","port":"80"}',
        b'{"host":"a","port":80,"weight":"x"}',
        b'{"host":"a","port":80,"weight":null}',
        b'{"host":"a","port":80,"priority":[]}',
        b'{"host":{"a":1},"port":80}',
        b"[" * 20_000,
        b"{" + b" " * 20_000,
        b'{"a":' * 5_000,
        b"\xff",
    ],
)
def test_a_hostile_record_is_unusable(raw):
    assert isinstance(load(raw), Unusable)


def test_a_record_comes_back_as_it_was():
    instance = Instance("::1", 80, id="i", zone="z", weight=2.5, priority=3, tags=("a", "b"))
    assert load(dump(instance)) == instance
    assert load(dump(Instance("a", 1, weight=0.0))) == Instance("a", 1, weight=0.0)


def test_an_answer_is_bounded_and_one_bad_entry_spoils_nothing():
    good, bad = Instance("a", 1), Unusable("b:0", "no port")
    assert settle([bad, good, good], 10) == ((good,), (bad,))
    assert settle([], 10) == ((), ())
    with pytest.raises(ValueError, match="more than 2"):
        settle(iter([good, Instance("b", 1), Instance("c", 1)]), 2)
    with pytest.raises(ValueError, match="no port"):
        settle([bad], 10)  # nothing of use is no empty set
